// PostgREST's configuration file: `name = value`, texts in quotes, `#` begins a comment. Names are as PostgREST has them.

/** `$(NAME)` in a text is a variable's value. Throws a text that names the line. */
export function parseConfigFile(
  text: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): Map<string, string> {
  const found = new Map<string, string>()
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const match = /^([A-Za-z0-9._-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^"#]*))\s*(?:#.*)?$/.exec(trimmed)
    if (!match) throw new Error(`line ${i + 1} is no setting; write name = "value"`)
    const [, name = '', quoted, plain = ''] = match
    found.set(name, quoted === undefined ? plain.trim() : unquoted(quoted, environment))
  }
  return found
}

/** `PGRST_DB_SCHEMAS` is `db-schemas`; of `PGRST_APP_SETTINGS_X` the end keeps its underscores. */
export function configOfEnvironment(environment: Readonly<Record<string, string | undefined>>): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith('PGRST_')) continue
    const rest = name.slice('PGRST_'.length)
    const app = /^APP_SETTINGS_(.+)$/.exec(rest)
    found.set(app ? `app.settings.${(app[1] ?? '').toLowerCase()}` : rest.toLowerCase().replaceAll('_', '-'), value)
  }
  return found
}

function unquoted(text: string, environment: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(/\\(.)|\$\(([A-Za-z_]\w*)\)/g, (whole, escaped?: string, name?: string) => {
    if (escaped !== undefined) return escaped
    return (name === undefined ? undefined : environment[name]) ?? whole
  })
}

// PostgREST's configuration file: `name = value`, texts in quotes, `#` begins a comment. Names are as PostgREST has them.

/** `$(NAME)` in a text is a variable's value, `$$` a dollar. Throws a text that names the line. */
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
    found.set(name, quoted === undefined ? plain.trim() : unquoted(quoted, environment, i + 1))
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

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/** A variable that is not there is no empty text and no text at all: a secret of that name would be known to everybody. */
function unquoted(text: string, environment: Readonly<Record<string, string | undefined>>, line: number): string {
  return text.replaceAll(
    /\\u([0-9A-Fa-f]{4})|\\(.)|\$\(([A-Za-z_]\w*)\)|\$\$/g,
    (_, unicode?: string, escaped?: string, name?: string) => {
      if (unicode !== undefined) return String.fromCharCode(Number.parseInt(unicode, 16))
      if (escaped !== undefined) return escapes[escaped] ?? escaped
      if (name === undefined) return '$'
      const value = environment[name]
      if (value === undefined) throw new Error(`line ${line} names $(${name}), and there is no such variable`)
      return value
    },
  )
}

// Where a claim stands in a token: `.a."b-c"[0]`, `.roles[?(@ == "v")]`. Parsed and followed here.

export type JsPathFilter = '==' | '!=' | '^==' | '==^' | '*=='

export type JsPathStep =
  | { kind: 'key'; key: string }
  | { kind: 'index'; index: number }
  /** The first element of a list of texts that is so; only as the last step. */
  | { kind: 'filter'; comparison: JsPathFilter; text: string }

export type JsPath = readonly JsPathStep[]

const longest = 1000
const word = /\.(?:([\p{L}\p{Nd}_$@-]+)|"([^"]*)")/uy
const index = /\[(\d{1,9})\]/y
const filter = /\[\?\(\s*@\s*(==\^|\^==|\*==|==|!=)\s*"([^"]*)"\s*\)\]/y

/** Undefined for what is none. */
export function parseJsPath(text: string): JsPath | undefined {
  if (text.length > longest) return undefined
  const steps: JsPathStep[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const match = pattern.exec(text) ?? undefined
    if (match) at += match[0].length
    return match
  }
  while (at < text.length) {
    const name = take(word)
    if (name) {
      steps.push({ kind: 'key', key: name[1] ?? name[2] ?? '' })
      continue
    }
    const position = take(index)
    if (position) {
      steps.push({ kind: 'index', index: Number(position[1]) })
      continue
    }
    const found = take(filter)
    if (!found || at < text.length) return undefined
    steps.push({ kind: 'filter', comparison: found[1] as JsPathFilter, text: found[2] ?? '' })
  }
  return steps
}

/** Undefined where there is nothing. */
export function followJsPath(path: JsPath, value: unknown): unknown {
  let here = value
  for (const step of path) {
    switch (step.kind) {
      case 'key':
        if (typeof here !== 'object' || here === null || Array.isArray(here) || !Object.hasOwn(here, step.key))
          return undefined
        here = (here as Record<string, unknown>)[step.key]
        break
      case 'index':
        if (!Array.isArray(here)) return undefined
        here = here[step.index] as unknown
        break
      case 'filter': {
        if (!Array.isArray(here)) return undefined
        const { comparison, text } = step
        here = here.find((each) => typeof each === 'string' && matches(comparison, each, text)) as unknown
        break
      }
    }
  }
  return here
}

function matches(comparison: JsPathFilter, value: string, text: string): boolean {
  switch (comparison) {
    case '==':
      return value === text
    case '!=':
      return value !== text
    case '^==':
      return value.startsWith(text)
    case '==^':
      return value.endsWith(text)
    case '*==':
      return value.includes(text)
  }
}

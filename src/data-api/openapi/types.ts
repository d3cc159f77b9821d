// Types of Postgres as Swagger has them. https://swagger.io/specification/v2/#data-types

type Typed = { type?: string; format: string; items?: { type: string } }

const types: Readonly<Record<string, string>> = {
  boolean: 'boolean',
  smallint: 'integer',
  integer: 'integer',
  bigint: 'integer',
  numeric: 'number',
  real: 'number',
  'double precision': 'number',
}
/** They may be anything. */
const untyped = new Set(['json', 'jsonb'])

/** `type`: as `format_type` gives it, with its modifier. */
export function typed(type: string): Typed {
  const format = type
  if (type.endsWith('[]')) return { type: 'array', format, items: { type: scalar(type.slice(0, -2)) ?? 'string' } }
  const found = scalar(type)
  return found === undefined ? { format } : { type: found, format }
}

function scalar(type: string): string | undefined {
  const name = type.replace(/\(.*\)/, '')
  return untyped.has(name) ? undefined : (types[name] ?? 'string')
}

/** A column's default, as far as its expression is a literal: `'a'::text` is a, 7 is 7; anything else is told as it is written. */
export function defaultOf(expression: string, type: string | undefined): unknown {
  const literal = /^'((?:[^']|'')*)'(?:::[\w\s"[\].]+(?:\(\d+\))?)?$/.exec(expression)?.[1]?.replaceAll("''", "'")
  const text = literal ?? expression
  if (type === 'integer' || type === 'number') return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}

// Types of Postgres as Swagger has them: a type of JSON's, and the name in Postgres as the format.

export type SwaggerType = {
  /** Undefined: any JSON. */
  type?: ScalarType | 'array'
  format: string
  items?: { type?: ScalarType }
}

type ScalarType = 'string' | 'boolean' | 'integer' | 'number'

const scalars: Readonly<Record<string, ScalarType | undefined>> = {
  boolean: 'boolean',
  smallint: 'integer',
  integer: 'integer',
  bigint: 'integer',
  numeric: 'number',
  real: 'number',
  'double precision': 'number',
}

/** Widths of integers have names of Swagger's own. */
const formats: Readonly<Record<string, string>> = { smallint: 'int32', integer: 'int32', bigint: 'int64' }

export function swaggerType(name: string): SwaggerType {
  const format = formats[name] ?? name
  if (name.endsWith('[]')) return { format, type: 'array', items: scalar(name.slice(0, -2)) }
  return { format, ...scalar(name) }
}

function scalar(name: string): { type?: ScalarType } {
  return name === 'json' || name === 'jsonb' ? {} : { type: scalars[name] ?? 'string' }
}

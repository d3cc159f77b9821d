// Paths and queries are text; the contract gives their parts types. What cannot be read as its type stays a text, and the
// validator says so.

import { schemasId, type ContractOperation, type JsonSchema } from './operations.ts'

export function coercePath(
  operation: ContractOperation,
  params: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const coerced: Record<string, unknown> = {}
  for (const { name, in: place, schema } of operation.parameters) {
    const value = params[name]
    if (place === 'path' && value !== undefined) coerced[name] = coerce(value, schema['type'])
  }
  return coerced
}

/**
 * An empty value counts as none, as `limit=` and `cursor=` come from forms and scripts. Lists are taken joined by commas (upstream's
 * client) and repeated (generated ones); of a repeated single value the last counts.
 */
export function coerceQuery(
  operation: ContractOperation,
  query: URLSearchParams,
  schemas: Readonly<Record<string, JsonSchema>>,
): Record<string, unknown> {
  const coerced: Record<string, unknown> = {}
  for (const { name, in: place, schema: given } of operation.parameters) {
    if (place !== 'query') continue
    const schema = resolve(given, schemas)
    const values = query.getAll(name).filter((value) => value !== '')
    const last = values.at(-1)
    if (last === undefined) {
      if (schema['default'] !== undefined) coerced[name] = schema['default']
    } else if (schema['type'] === 'array') {
      const items = resolve((schema['items'] ?? {}) as JsonSchema, schemas)
      coerced[name] = values
        .flatMap((value) => value.split(','))
        .filter((item) => item !== '')
        .map((item) => coerce(item, items['type']))
    } else {
      coerced[name] = coerce(last, schema['type'])
    }
  }
  return coerced
}

function coerce(text: string, type: unknown): unknown {
  switch (type) {
    case 'integer':
    case 'number':
      return /^-?\d{1,20}(\.\d{1,20})?$/.test(text) ? Number(text) : text
    case 'boolean':
      if (text === 'true' || text === '1') return true
      if (text === 'false' || text === '0') return false
      return text
    default:
      return text
  }
}

function resolve(schema: JsonSchema, schemas: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const reference = schema['$ref']
  if (typeof reference !== 'string') return schema
  return schemas[reference.slice(`${schemasId}#/definitions/`.length)] ?? schema
}

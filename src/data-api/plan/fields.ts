// A field with what the schema cache knows of it.

import type { Field } from '../request/syntax.ts'
import type { QualifiedName, Relation, SchemaCache } from '../schema-cache/schema-cache.ts'
import type { PlannedField } from './plan.ts'

const jsonTypes = new Set(['json', 'jsonb'])

export function planField(relation: Relation | undefined, { name, path }: Field): PlannedField {
  const column = relation?.columns.get(name)
  const baseType = column?.baseType
  // Of what nothing is known (a computed field) a path is taken as it is asked for.
  const isJson = baseType === undefined ? relation === undefined : jsonTypes.has(baseType)
  return { name, path, baseType, needsToJsonb: path.length > 0 && !isJson, transform: undefined }
}

/** What turns a column's domain into JSON, or a text or JSON into it. Undefined: nothing is declared. */
export function representation(
  cache: SchemaCache,
  relation: Relation | undefined,
  name: string,
  way: 'to json' | 'from text' | 'from json',
): QualifiedName | undefined {
  const type = relation?.columns.get(name)?.typeName
  if (!type || cache.representations.length === 0) return undefined
  const is = (named: QualifiedName, schema: string, typeName: string): boolean =>
    named.schema === schema && named.name === typeName
  return cache.representations.find(({ source, target }) =>
    way === 'to json'
      ? is(source, type.schema, type.name) && is(target, 'pg_catalog', 'json')
      : is(target, type.schema, type.name) && is(source, 'pg_catalog', way === 'from text' ? 'text' : 'json'),
  )?.function
}

// Finds by name what a request is about, or says what there is instead.

import { DataApiError } from '../errors.ts'
import {
  keyOf,
  type DatabaseFunction,
  type QualifiedName,
  type Relation,
  type Relationship,
  type SchemaCache,
} from './schema-cache.ts'
import { looselySimilar, mostSimilar } from './similarity.ts'

/** Throws PGRST205. */
export function findRelation(cache: SchemaCache, name: QualifiedName): Relation {
  const found = cache.relations.get(keyOf(name))
  if (found) return found
  const others = [...cache.relations.values()].filter(({ schema }) => schema === name.schema)
  const near = mostSimilar(
    name.name,
    others.map((other) => other.name),
  )
  throw new DataApiError({
    code: 'PGRST205',
    message: `Could not find the table '${name.schema}.${name.name}' in the schema cache`,
    hint: near === undefined ? undefined : `Perhaps you meant the table '${name.schema}.${near}'`,
  })
}

/** Of this name, all overloads. Empty where there is none. */
export const functionsNamed = (cache: SchemaCache, name: QualifiedName): readonly DatabaseFunction[] =>
  cache.functions.get(keyOf(name)) ?? []

/**
 * The one by which `target` belongs to `from`: by the other relation's name, by a constraint's, or by the column of the key; `hint` chooses among several.
 * Throws PGRST200, PGRST201.
 */
export function findRelationship(
  cache: SchemaCache,
  from: QualifiedName,
  target: string,
  hint: string | undefined,
): Relationship {
  const all = cache.relationships.get(keyOf(from)) ?? []
  const computed = all.filter((each) => each.kind === 'computed' && each.function.name === target)
  if (computed[0]) return computed[0]
  const fitting = distinct(all.filter((each) => each.kind === 'detected' && leadsTo(each, from.schema, target, hint)))
  const [first, ...others] = fitting
  if (first && others.length === 0) return first
  if (!first) throw notFound(cache, from, target, hint)
  throw ambiguous(from, target, fitting)
}

type Detected = Extract<Relationship, { kind: 'detected' }>

function leadsTo(each: Relationship, schema: string, target: string, hint: string | undefined): boolean {
  if (each.kind !== 'detected' || each.to.schema !== schema) return false
  const { cardinality, isSelf } = each
  if (cardinality.kind === 'm2m') {
    if (each.to.name !== target) return false
    const { junction } = cardinality
    return (
      hint === undefined || hint === junction.name || hint === junction.constraint1 || hint === junction.constraint2
    )
  }
  const { constraint, columns, kind } = cardinality
  const [own, foreign] = columns.length === 1 ? (columns[0] ?? []) : []
  const isHinted = hint === undefined || hint === constraint || hint === own || hint === foreign
  // One's own name leads to many, by whichever key: the way up is named by the column.
  if (each.to.name === target) return isHinted && !(isSelf && kind === 'm2o')
  const isTable = !each.fromIsView && !each.toIsView
  if (constraint === target) return isTable && isHinted
  return isTable && own === target && kind !== 'o2m' && isHinted
}

/** Views show the same relationship in as many ways as they show its columns. */
function distinct(found: readonly Relationship[]): Detected[] {
  const kept = new Map<string, Detected>()
  for (const each of found) if (each.kind === 'detected') kept.set(JSON.stringify([each.to, each.cardinality]), each)
  return [...kept.values()]
}

function notFound(cache: SchemaCache, from: QualifiedName, target: string, hint: string | undefined): DataApiError {
  const using = hint === undefined ? '' : `using the hint '${hint}' `
  return new DataApiError({
    code: 'PGRST200',
    message: `Could not find a relationship between '${from.name}' and '${target}' in the schema cache`,
    details: `Searched for a foreign key relationship between '${from.name}' and '${target}' ${using}in the schema '${from.schema}', but no matches were found.`,
    hint: nearRelationship(cache, from, target),
  })
}

/** Another one that belongs to it; or, where nothing does, one that is called alike and to which something does. */
function nearRelationship(cache: SchemaCache, from: QualifiedName, target: string): string | undefined {
  const own = cache.relationships.get(keyOf(from))
  const names = own
    ? own.map(({ to }) => to.name).filter((name) => name !== target)
    : [...cache.relationships.values()].flatMap(([first]) =>
        first?.from.schema === from.schema ? [first.from.name] : [],
      )
  const wanted = own ? target : from.name
  const near = mostSimilar(wanted, new Set(names), looselySimilar)
  return near === undefined ? undefined : `Perhaps you meant '${near}' instead of '${wanted}'.`
}

const cardinalityNames = { o2m: 'one-to-many', m2o: 'many-to-one', o2o: 'one-to-one', m2m: 'many-to-many' } as const

function ambiguous(from: QualifiedName, target: string, found: readonly Detected[]): DataApiError {
  const names = found.map(
    ({ to, cardinality }) =>
      `'${to.name}!${cardinality.kind === 'm2m' ? cardinality.junction.name : cardinality.constraint}'`,
  )
  return new DataApiError({
    code: 'PGRST201',
    message: `Could not embed because more than one relationship was found for '${from.name}' and '${target}'`,
    details: found.map((each) => ({
      cardinality: cardinalityNames[each.cardinality.kind],
      embedding: `${from.name} with ${each.to.name}`,
      relationship: relationshipText(each),
    })),
    hint: `Try changing '${target}' to one of the following: ${names.join(', ')}. Find the desired relationship in the 'details' key.`,
  })
}

function relationshipText({ from, to, cardinality }: Detected): string {
  if (cardinality.kind === 'm2m') {
    const { junction } = cardinality
    const [own, other] = [junction.columns1, junction.columns2].map((pairs) =>
      pairs.map(([, column]) => column).join(', '),
    )
    return `${junction.name} using ${junction.constraint1}(${own}) and ${junction.constraint2}(${other})`
  }
  const [own, foreign] = [0, 1].map((side) => cardinality.columns.map((pair) => pair[side as 0 | 1]).join(', '))
  return `${cardinality.constraint} using ${from.name}(${own}) and ${to.name}(${foreign})`
}

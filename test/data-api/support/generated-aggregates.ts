// Requests that sum up a generated schema: by groups or all of it, within what is embedded too, and the same by a statement that groups.

import fc from 'fast-check'
import { conditions, quote, treeParam, treeSql, type Tree } from './generated-conditions.ts'
import { joined, linksOf, type Link } from './generated-reads.ts'
import { ident, literal, type Column, type Schema, type Table, type TypeName } from './generated-schema.ts'

type Group = { column: Column; alias: string | undefined; cast: string | undefined }
type Aggregate = {
  name: 'count' | 'sum' | 'avg' | 'min' | 'max'
  /** Undefined: of rows. */
  of: Column | undefined
  before: string | undefined
  after: string | undefined
  alias: string
}
type Summed = { table: Table; groups: readonly Group[]; aggregates: readonly Aggregate[]; trees: readonly Tree[] }
export type Summary = Summed & {
  /** Rows that are grouped by what they belong to as well. */
  spread: { link: Link; groups: readonly Group[] } | undefined
}
/** Each row of a table, by its key, with a summary of others. */
export type Embedding = { table: Table; link: Link; summed: Summed }

const numbers: readonly TypeName[] = ['integer', 'bigint', 'numeric']
const ordered: readonly TypeName[] = [...numbers, 'text', 'timestamp with time zone', 'enum']

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined })

function aggregates({ columns }: Table, at: string): fc.Arbitrary<Aggregate[]> {
  const of = (
    name: Aggregate['name'],
    types: readonly TypeName[] | undefined,
    befores: readonly string[],
  ): fc.Arbitrary<Omit<Aggregate, 'alias'>>[] => {
    const some = types ? columns.filter(({ type }) => types.includes(type)) : columns
    if (some.length === 0) return []
    return [
      fc.record({
        name: fc.constant(name),
        of: fc.constantFrom(...some),
        before: maybe(fc.constantFrom(...befores)),
        after: maybe(fc.constant('text')),
      }),
    ]
  }
  const rows = fc.record({
    name: fc.constant('count' as const),
    of: fc.constant(undefined),
    before: fc.constant(undefined),
    after: maybe(fc.constant('integer')),
  })
  return fc
    .array(
      fc.oneof<fc.Arbitrary<Omit<Aggregate, 'alias'>>[]>(
        rows,
        ...of('count', undefined, ['text']),
        ...of('sum', numbers, ['numeric']),
        ...of('avg', numbers, ['numeric']),
        ...of('min', ordered, ['text']),
        ...of('max', ordered, ['text']),
      ),
      { minLength: 1, maxLength: 3 },
    )
    .map((all) => all.map((each, i) => ({ ...each, alias: `a.${at}${i} "x",` })))
}

const groups = ({ columns }: Table, at: string, least = 0): fc.Arbitrary<Group[]> =>
  fc.subarray([...columns], { minLength: least, maxLength: 2 }).chain((some) =>
    fc.tuple(
      ...some.map((column, i) =>
        fc.record({
          column: fc.constant(column),
          alias: fc.constantFrom(undefined, `g.${at}${i} (`),
          cast: maybe(fc.constant('text')),
        }),
      ),
    ),
  )

const summed = (table: Table, at: string): fc.Arbitrary<Summed> =>
  fc.record({
    table: fc.constant(table),
    groups: groups(table, at),
    aggregates: aggregates(table, at),
    trees: fc.oneof(
      fc.constant<Tree[]>([]),
      conditions(table).map((tree) => [tree]),
    ),
  })

export const summaries = (schema: Schema, table: Table): fc.Arbitrary<Summary> => {
  const links = linksOf(schema, table).filter(({ isToOne, across }) => isToOne && !across)
  const spread: fc.Arbitrary<Summary['spread']> =
    links.length === 0
      ? fc.constant(undefined)
      : maybe(
          fc
            .constantFrom(...links)
            .chain((link) => fc.record({ link: fc.constant(link), groups: groups(link.to, 's', 1) })),
        ).map(
          (each) =>
            // Beside the table's own, which may have the same names.
            each && { ...each, groups: each.groups.map((group, i) => ({ ...group, alias: `s${i} ...` })) },
        )
  return fc.tuple(summed(table, ''), spread).map(([each, spread_]) => ({ ...each, spread: spread_ }))
}

/** One for each link to something of which there may be many. */
export function embeddings(schema: Schema, table: Table): fc.Arbitrary<Embedding>[] {
  const links = linksOf(schema, table).filter(({ isToOne }) => !isToOne)
  return links.map((link) =>
    summed(link.to, 'e').map((each) => ({
      table,
      link,
      // Groups are ordered by what they are groups of.
      summed: { ...each, groups: each.groups.map((group) => ({ ...group, cast: undefined })) },
    })),
  )
}

const castText = (cast: string | undefined): string => (cast === undefined ? '' : `::${cast}`)
const groupText = ({ column, alias, cast }: Group): string =>
  `${alias === undefined ? '' : `${quote(alias)}:`}${quote(column.name)}${castText(cast)}`
const aggregateText = ({ name, of, before, after, alias }: Aggregate): string =>
  `${quote(alias)}:${of ? `${quote(of.name)}${castText(before)}.` : ''}${name}()${castText(after)}`
const listText = (all: Summed): string => [...all.groups.map(groupText), ...all.aggregates.map(aggregateText)].join(',')
const orderText = (all: readonly Group[]): string => all.map(({ column }) => quote(column.name)).join(',')

const target = (table: Table, params: readonly (readonly [string, string])[]): string =>
  `/${encodeURIComponent(table.name)}?${params.map((each) => each.map(encodeURIComponent).join('=')).join('&')}`

export function targetOfSummary(summary: Summary): string {
  const { table, trees, spread } = summary
  const list = [
    listText(summary),
    ...(spread ? [`...${spread.link.target}(${spread.groups.map(groupText).join(',')})`] : []),
  ]
  return target(table, [['select', list.join(',')], ...trees.map((tree) => treeParam(tree, ''))])
}

export function targetOfEmbedding({ table, link, summed: inner }: Embedding): string {
  const keys = table.key.map((name) => quote(name)).join(',')
  const order = orderText(inner.groups)
  return target(table, [
    ['select', `${keys},e:${link.target}(${listText(inner)})`],
    ['order', keys],
    ...inner.trees.map((tree) => treeParam(tree, 'e.')),
    ...(order === '' ? [] : [['e.order', order] as const]),
  ])
}

const cast = (sql: string, type: string | undefined): string => (type === undefined ? sql : `(${sql})::${type}`)
const groupSql = ({ column, cast: type }: Group, alias: string): string => cast(`${alias}.${ident(column.name)}`, type)
const aggregateSql = ({ name, of, before, after }: Aggregate, alias: string): string =>
  cast(`${name}(${of ? cast(`${alias}.${ident(of.name)}`, before) : '*'})`, after)

type Named = readonly [name: string, sql: string]
const groupsOf = (all: readonly Group[], alias: string): Named[] =>
  all.map((each) => [each.alias ?? each.column.name, groupSql(each, alias)])
const aggregatesOf = (all: readonly Aggregate[], alias: string): Named[] =>
  all.map((each) => [each.alias, aggregateSql(each, alias)])
/** Of any length, as arguments of a function are not. */
const objectSql = (all: readonly Named[]): string =>
  `(select jsonb_object_agg(k, v) from (values ${all.map(([name, sql]) => `(${literal(name)}, to_jsonb(${sql}))`).join(', ')}) as pair(k, v))`
const groupBy = (all: readonly Named[]): string =>
  all.length === 0 ? '' : `group by ${all.map(([, sql]) => sql).join(', ')}`

const at = (schema: Schema, { name }: Table): string => `${ident(schema.name)}.${ident(name)}`
const whereSql = (all: readonly string[]): string => (all.length === 0 ? '' : `where ${all.join(' and ')}`)

/** One value: the rows in the order of what they say. */
export function statementOfSummary(
  schema: Schema,
  { table, groups: own, aggregates: all, trees, spread }: Summary,
): string {
  const keys = [...groupsOf(own, 't'), ...(spread ? groupsOf(spread.groups, 's') : [])]
  const outputs = [...keys, ...aggregatesOf(all, 't')]
  const join = spread
    ? `left join ${at(schema, spread.link.to)} s on ${spread.link.pairs.map(([mine, other]) => `t.${ident(mine)} = s.${ident(other)}`).join(' and ')}`
    : ''
  const rows = `select ${outputs.map(([, sql], i) => `${sql} as c${i}`).join(', ')} from ${at(schema, table)} t ${join}
    ${whereSql(trees.map((tree) => treeSql(schema.name, tree)))} ${groupBy(keys)}`
  const object = objectSql(outputs.map(([name], i) => [name, `r.c${i}`]))
  return `select coalesce(jsonb_agg(o order by o), '[]')::text as rows from (select ${object} as o from (${rows}) r) x`
}

/** One value: the rows in the order of their keys, and within them the groups in that of what they are grouped by. */
export function statementOfEmbedding(schema: Schema, { table, link, summed: inner }: Embedding): string {
  const keys = groupsOf(inner.groups, 'i')
  const outputs = [...keys, ...aggregatesOf(inner.aggregates, 'i')]
  const own = link.pairs.map(([name]) => `t.${ident(name)}`)
  const where = [joined(schema.name, link, own, 'i'), ...inner.trees.map((tree) => treeSql(schema.name, tree, 'i'))]
  const rows = `select ${outputs.map(([, sql], i) => `${sql} as c${i}`).join(', ')} from ${at(schema, link.to)} i ${whereSql(where)} ${groupBy(keys)}`
  const object = objectSql(outputs.map(([name], i) => [name, `r.c${i}`]))
  const order = keys.length === 0 ? '' : `order by ${keys.map((_, i) => `r.c${i}`).join(', ')}`
  const list = `(select coalesce(jsonb_agg(${object} ${order}), '[]') from (${rows}) r)`
  const pairs: Named[] = [...table.key.map((name): Named => [name, `t.${ident(name)}`]), ['e', list]]
  return `select coalesce(jsonb_agg(${objectSql(pairs)} order by ${table.key.map((name) => `t.${ident(name)}`).join(', ')}), '[]')::text as rows from ${at(schema, table)} t`
}

// A read as one query: a relation, a lateral subquery for each relation that is embedded in it, and so on down.

import type { Embed, PlannedOrder, PlannedSelect, ReadPlan } from '../plan/plan.ts'
import type { Aggregate, RowRange } from '../request/syntax.ts'
import { conditionSql, exists } from './conditions.ts'
import { castTo, fieldExpression } from './fields.ts'
import { empty, ident, join, param, qualified, raw, sql, type Snippet } from './snippet.ts'

const jsonColumn = 'pgrst_json'

/** Postgres names columns in its refusals by the root's own name. `source`: what takes the place of the root's relation, with the same columns. */
export function readQuery(plan: ReadPlan, source?: Snippet): Snippet {
  return queryOf(plan, plan.from.name, source ?? qualified(plan.from), [], [])
}

/** A row for each row that there would be without order and range, and nothing in it. */
export function countQuery(plan: ReadPlan, source?: Snippet): Snippet {
  const rootAlias = plan.from.name
  const needed = plan.embeds.filter((embed) => embed.join === 'inner' || isCompared(plan, embed))
  const joins = needed.map((embed) => lateral(rootAlias, embed, []))
  return sql`SELECT 1 FROM ${source ?? qualified(plan.from)} AS ${ident(rootAlias)}${join([empty, ...joins], ' ')}${whereSql(rootAlias, plan, [])}`
}

const isCompared = ({ where }: ReadPlan, { aggregateAlias }: Embed): boolean =>
  JSON.stringify(where).includes(JSON.stringify(aggregateAlias))

/** Columns that the row above is ordered by, and that are no part of what comes out. */
type Hidden = readonly { name: string; expression: (alias: string) => Snippet }[]

function queryOf(plan: ReadPlan, alias: string, source: Snippet, joins: readonly Snippet[], hidden: Hidden): Snippet {
  const orderOf = new Map(plan.embeds.map((embed) => [embed.aggregateAlias, hiddenOrders(plan, embed)]))
  const laterals = plan.embeds.map((embed) => lateral(alias, embed, orderOf.get(embed.aggregateAlias) ?? []))
  const columns = columnsOf(plan, alias)
  const extra = hidden.map(({ name, expression }): OutputColumn => ({
    expression: sql`${expression(alias)} AS ${ident(name)}`,
    isAggregate: false,
  }))
  const all = [...columns, ...extra]
  const list =
    all.length === 0
      ? sql``
      : join(
          all.map(({ expression }) => expression),
          ', ',
        )
  return sql`SELECT ${list} FROM ${source} AS ${ident(alias)}${join([empty, ...laterals], ' ')}${whereSql(alias, plan, joins)}${groupSql(all, plan, alias)}${orderSql(alias, plan)}${rangeSql(plan.range)}`
}

/** `expands`: it is `*`, which has no place of its own in the list. */
type OutputColumn = { expression: Snippet; isAggregate: boolean; expands?: boolean }

function columnsOf(plan: ReadPlan, alias: string): OutputColumn[] {
  return [
    ...plan.select.map((item) => selected(item, alias)),
    ...plan.embeds.filter(({ isSelected }) => isSelected).flatMap((embed) => embedded(embed)),
  ]
}

function selected(item: PlannedSelect, alias: string): OutputColumn {
  if (item.kind === 'all') return { expression: sql`${ident(alias)}.*`, isAggregate: false, expands: true }
  const { aggregate } = item
  // Of the whole row, where no column is named.
  const isRow = item.field.name === '*'
  const plain = isRow ? raw('*') : fieldExpression(alias, item.field)
  const value = item.cast === undefined ? plain : castTo(plain, item.cast)
  const made = aggregate ? aggregated(aggregate, value) : value
  const isNamed =
    item.alias !== undefined || item.field.transform !== undefined || (item.cast !== undefined && !aggregate)
  const name = item.alias ?? item.field.name
  return { expression: isNamed ? sql`${made} AS ${ident(name)}` : made, isAggregate: aggregate !== undefined }
}

function aggregated({ function: name, cast }: Aggregate, value: Snippet): Snippet {
  const made = sql`${raw(name.toUpperCase())}(${value})`
  return cast === undefined ? made : castTo(made, cast)
}

function embedded({ aggregateAlias, result }: Embed): OutputColumn[] {
  const from = ident(aggregateAlias)
  if (result.kind === 'json') {
    const json = sql`${from}.${ident(jsonColumn)}`
    const value = result.isToOne ? json : sql`COALESCE(${json}, '[]')`
    return [{ expression: sql`${value} AS ${ident(result.name)}`, isAggregate: false }]
  }
  return result.columns.map(({ name, aggregate }) => {
    const column = sql`${from}.${ident(name)}`
    if (!result.isToOne) return { expression: sql`COALESCE(${column}, '[]') AS ${ident(name)}`, isAggregate: false }
    return aggregate
      ? { expression: sql`${aggregated(aggregate, column)} AS ${ident(name)}`, isAggregate: true }
      : { expression: column, isAggregate: false }
  })
}

function lateral(parent: string, embed: Embed, hidden: Hidden): Snippet {
  const { result, join: kind, aggregateAlias } = embed
  const inner = innerQuery(parent, embed, hidden)
  const rows = ident('pgrst_rows')
  const names = hidden.map(({ name }) => name)
  const kept = join([empty, ...names.map((name) => sql`${rows}.${ident(name)}`)], ', ')
  const body = ((): Snippet => {
    if (result.kind === 'spread') {
      if (result.isToOne) return sql`SELECT ${rows}.*, TRUE AS ${ident(exists)} FROM (${inner}) AS ${rows}`
      const lists = result.columns.map(({ name }) => sql`json_agg(${rows}.${ident(name)})::jsonb AS ${ident(name)}`)
      return sql`SELECT ${join([...lists, sql`bool_or(TRUE) AS ${ident(exists)}`], ', ')} FROM (${inner}) AS ${rows}`
    }
    if (result.isToOne) {
      const json = sql`row_to_json(${rows}.*)::jsonb${join([empty, ...names.map((name) => param(name)).map((name) => sql`${name}::text`)], ' - ')}`
      return sql`SELECT ${json} AS ${ident(jsonColumn)}, TRUE AS ${ident(exists)}${kept} FROM (${inner}) AS ${rows}`
    }
    return sql`SELECT json_agg(${rows}.*)::jsonb AS ${ident(jsonColumn)}, bool_or(TRUE) AS ${ident(exists)} FROM (${inner}) AS ${rows}`
  })()
  const as = sql`LATERAL (${body}) AS ${ident(aggregateAlias)}`
  return kind === 'inner'
    ? sql`INNER JOIN ${as} ON ${ident(aggregateAlias)}.${ident(exists)}`
    : sql`LEFT JOIN ${as} ON TRUE`
}

function innerQuery(parent: string, embed: Embed, hidden: Hidden): Snippet {
  const { relationship, plan } = embed
  const alias = plan.fromAlias ?? 'pgrst_t'
  const spread = embed.result.kind === 'spread' && embed.result.isToOne ? withoutAggregates(plan) : plan
  // A row has to have something in it to be there.
  const chosen: Hidden = embed.isSelected ? hidden : [...hidden, { name: 'pgrst_nothing', expression: () => raw('1') }]
  if (relationship.kind === 'computed') {
    const row = sql`ROW(${ident(parent)}.*)::${qualified(relationship.from)}`
    return queryOf(spread, alias, sql`${qualified(relationship.function)}(${row})`, [], chosen)
  }
  const { cardinality } = relationship
  if (cardinality.kind !== 'm2m') {
    const conditions = cardinality.columns.map(
      ([own, foreign]) => sql`${ident(alias)}.${ident(foreign)} = ${ident(parent)}.${ident(own)}`,
    )
    return queryOf(spread, alias, qualified(plan.from), conditions, chosen)
  }
  const { junction } = cardinality
  const between = ident(`${alias}_junction`)
  const conditions = [
    ...junction.columns1.map(([own, joined]) => sql`${between}.${ident(joined)} = ${ident(parent)}.${ident(own)}`),
    ...junction.columns2.map(([other, joined]) => sql`${between}.${ident(joined)} = ${ident(alias)}.${ident(other)}`),
  ]
  return queryOf(spread, alias, sql`${qualified(junction)} AS ${between}, ${qualified(plan.from)}`, conditions, chosen)
}

/** They are taken by the row that these columns are lifted into. */
function withoutAggregates(plan: ReadPlan): ReadPlan {
  const select = plan.select.map((item): PlannedSelect =>
    item.kind === 'field' && item.aggregate
      ? {
          ...item,
          aggregate: undefined,
          alias: item.alias ?? (item.field.name === '*' ? item.aggregate.function : item.field.name),
        }
      : item,
  )
  return { ...plan, select }
}

function whereSql(alias: string, plan: ReadPlan, joins: readonly Snippet[]): Snippet {
  const all = [...joins, ...plan.where.map((condition) => conditionSql(alias, condition))]
  return all.length === 0 ? empty : sql` WHERE ${join(all, ' AND ')}`
}

/** By the places of all that is no aggregate: an expression with parameters would not be known for the same. */
function groupSql(columns: readonly OutputColumn[], plan: ReadPlan, alias: string): Snippet {
  if (!columns.some(({ isAggregate }) => isAggregate)) return empty
  const groups: Snippet[] = []
  let place = 0
  for (const { isAggregate, expands } of columns) {
    if (expands) {
      const names = [...(plan.relation?.columns.keys() ?? [])]
      groups.push(...names.map((name) => sql`${ident(alias)}.${ident(name)}`))
      place += names.length
      continue
    }
    place += 1
    if (!isAggregate) groups.push(raw(String(place)))
  }
  return groups.length === 0 ? empty : sql` GROUP BY ${join(groups, ', ')}`
}

function orderSql(alias: string, { order, embeds }: ReadPlan): Snippet {
  if (order.length === 0) return empty
  const terms = order.map((term, n) => {
    const direction = term.direction === undefined ? '' : ` ${term.direction.toUpperCase()}`
    const nulls = term.nulls === undefined ? '' : ` NULLS ${term.nulls.toUpperCase()}`
    return sql`${orderExpression(alias, term, n, embeds)}${raw(direction)}${raw(nulls)}`
  })
  return sql` ORDER BY ${join(terms, ', ')}`
}

function orderExpression(alias: string, term: PlannedOrder, n: number, embeds: readonly Embed[]): Snippet {
  const { relation } = term
  if (relation === undefined) return fieldExpression(alias, { ...term.field, transform: undefined })
  const embed = embeds.find(({ aggregateAlias }) => aggregateAlias === relation)
  return sql`${ident(embed?.aggregateAlias ?? relation)}.${ident(hiddenName(n))}`
}

/** By the term's place: what is made of a column's name may be longer than Postgres lets a name be. */
const hiddenName = (n: number): string => `pgrst_order_${n}`

function hiddenOrders({ order }: ReadPlan, { aggregateAlias }: Embed): Hidden {
  return order.flatMap((term, n) =>
    term.relation === aggregateAlias
      ? [
          {
            name: hiddenName(n),
            expression: (alias: string) => fieldExpression(alias, { ...term.field, transform: undefined }),
          },
        ]
      : [],
  )
}

function rangeSql({ offset, limit }: RowRange): Snippet {
  const most = limit === undefined ? empty : sql` LIMIT ${param(String(limit))}::bigint`
  return offset === 0 ? most : sql`${most} OFFSET ${param(String(offset))}::bigint`
}

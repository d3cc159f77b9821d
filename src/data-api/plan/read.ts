// The plan of a read: the tree of what is selected, each relation with its conditions, order and range.

import type { DataApiConfig } from '../config.ts'
import { DataApiError } from '../errors.ts'
import type { ApiRequest } from '../request/request.ts'
import type {
  At,
  EmbedPath,
  Filter,
  LogicTree,
  OrderTerm,
  QueryParams,
  RowRange,
  SelectField,
  SelectItem,
  SelectRelation,
} from '../request/syntax.ts'
import { rangeAt } from '../request/query-params.ts'
import { findRelationship } from '../schema-cache/lookup.ts'
import {
  keyOf,
  type QualifiedName,
  type Relation,
  type Relationship,
  type SchemaCache,
} from '../schema-cache/schema-cache.ts'
import { planField, representation } from './fields.ts'
import type { Condition, Embed, PlannedOrder, PlannedSelect, ReadPlan, SpreadColumn } from './plan.ts'

type Config = Pick<DataApiConfig, 'dbAggregatesEnabled' | 'dbMaxRows'>

/** What is read at the root: a relation, or what a write or a call has left. */
export type Root = { from: QualifiedName; relation: Relation | undefined }

/** `isWrite`: rows are not bounded, and the root's conditions are the write's. */
export type ReadOptions = { range: RowRange; hasRootConditions: boolean; isBounded: boolean }

export function planRead(
  request: Pick<ApiRequest, 'query'>,
  root: Root,
  options: ReadOptions,
  cache: SchemaCache,
  config: Config,
): ReadPlan {
  const planner = new Planner(request.query, cache, config, options)
  const plan = planner.plan(root, request.query.select, [], options.range)
  planner.assertAllUsed()
  return plan
}

class Planner {
  readonly #query: QueryParams
  readonly #cache: SchemaCache
  readonly #config: Config
  readonly #options: ReadOptions
  #aliases = 0
  /** Paths of embeds that there are, by all of their names. */
  readonly #known = new Set<string>(['[]'])

  constructor(query: QueryParams, cache: SchemaCache, config: Config, options: ReadOptions) {
    this.#query = query
    this.#cache = cache
    this.#config = config
    this.#options = options
  }

  /** `paths`: of this relation, by each combination of alias and name. */
  plan(
    root: Root,
    items: readonly SelectItem[],
    paths: readonly EmbedPath[],
    range: RowRange,
    alias?: string,
  ): ReadPlan {
    const isRoot = paths.length === 0
    const own = isRoot ? [[]] : paths
    for (const path of own) this.#known.add(JSON.stringify(path))
    const embeds = items.flatMap((item) => (item.kind === 'relation' ? [this.#embed(root, item, own)] : []))
    const named = new Map<string, Embed>()
    items
      .filter((item) => item.kind === 'relation')
      .forEach((item, i) => {
        const embed = embeds[i]
        if (!embed) return
        for (const name of [item.relation, item.alias]) if (name !== undefined) named.set(name, embed)
      })
    const select = items.flatMap((item) =>
      item.kind === 'field' ? this.#expanded(root.relation, item).map((each) => this.#select(root.relation, each)) : [],
    )
    const conditions = isRoot && !this.#options.hasRootConditions ? [] : this.#conditions(root.relation, own, named)
    return {
      from: root.from,
      fromAlias: alias,
      relation: root.relation,
      select,
      where: conditions,
      order: at(this.#query.order, own)
        .flat()
        .map((term) => this.#order(root, term, named)),
      range: this.#options.isBounded ? bounded(range, this.#config.dbMaxRows) : range,
      embeds,
    }
  }

  /** Throws PGRST108 where something is said of an embed that is not selected. */
  assertAllUsed(): void {
    const { filters, logic, order, ranges } = this.#query
    for (const { at: path } of [...filters, ...logic, ...order, ...ranges]) {
      if (this.#known.has(JSON.stringify(path))) continue
      throw notEmbedded(path.at(-1) ?? '')
    }
  }

  #embed(root: Root, item: SelectRelation, paths: readonly EmbedPath[]): Embed {
    const relationship = findRelationship(this.#cache, root.from, item.relation, item.hint)
    const number = ++this.#aliases
    const aggregateAlias = `pgrst_e${number}`
    const own = paths.flatMap((path) =>
      [...new Set([item.relation, item.alias])].flatMap((name) => (name === undefined ? [] : [[...path, name]])),
    )
    const to = relationship.to
    const relation = this.#cache.relations.get(keyOf(to))
    const range = own.map((path) => rangeAt(this.#query, path)).find(isSaid) ?? { offset: 0, limit: undefined }
    const plan = this.plan({ from: to, relation }, item.children, own, range, `pgrst_t${number}`)
    const isToOne = isToOneOf(relationship)
    return {
      relationship,
      join: item.join,
      aggregateAlias,
      isSelected: item.children.length > 0,
      result: item.isSpread
        ? { kind: 'spread', isToOne, columns: spreadColumns(plan, isToOne) }
        : { kind: 'json', name: item.alias ?? item.relation, isToOne },
      plan,
    }
  }

  /** All columns by their names, where one of them is written in a way of its own. */
  #expanded(relation: Relation | undefined, item: SelectField): SelectField[] {
    const isAll = item.field.name === '*' && !item.aggregate
    const columns = isAll && relation && this.#cache.representations.length > 0 ? [...relation.columns.keys()] : []
    if (!columns.some((name) => representation(this.#cache, relation, name, 'to json'))) return [item]
    return columns.map((name) => ({ ...item, field: { name, path: [] } }))
  }

  #select(relation: Relation | undefined, item: SelectField): PlannedSelect {
    if (item.aggregate && !this.#config.dbAggregatesEnabled)
      throw new DataApiError({ code: 'PGRST123', message: 'Use of aggregate functions is not allowed' })
    if (item.field.name === '*' && !item.aggregate) return { kind: 'all' }
    const field = planField(relation, item.field)
    const last = item.field.path.findLast(({ operand }) => operand.kind === 'key')?.operand
    const alias =
      item.alias ?? (item.field.path.length === 0 ? undefined : last?.kind === 'key' ? last.key : item.field.name)
    const transform =
      item.cast || item.aggregate || item.field.path.length > 0
        ? undefined
        : representation(this.#cache, relation, field.name, 'to json')
    return { kind: 'field', field: { ...field, transform }, cast: item.cast, aggregate: item.aggregate, alias }
  }

  #conditions(
    relation: Relation | undefined,
    paths: readonly EmbedPath[],
    named: ReadonlyMap<string, Embed>,
  ): Condition[] {
    const trees: LogicTree[] = [...at<Filter>(this.#query.filters, paths), ...at(this.#query.logic, paths)]
    return trees.map((tree) => planCondition(this.#cache, relation, tree, named))
  }

  #order(root: Root, term: OrderTerm, named: ReadonlyMap<string, Embed>): PlannedOrder {
    const { direction, nulls } = term
    if (term.relation === undefined)
      return { field: planField(root.relation, term.field), relation: undefined, direction, nulls }
    const embed = named.get(term.relation)
    if (!embed) throw notEmbedded(term.relation)
    if (!embed.result.isToOne) {
      throw new DataApiError({
        code: 'PGRST118',
        message: `A related order on '${term.relation}' is not possible`,
        details: `'${root.from.name}' and '${term.relation}' do not form a many-to-one or one-to-one relationship`,
      })
    }
    return { field: planField(embed.plan.relation, term.field), relation: embed.aggregateAlias, direction, nulls }
  }
}

/** `named`: embeds, which can be compared with nothing but null. Throws PGRST120. */
export function planCondition(
  cache: SchemaCache,
  relation: Relation | undefined,
  tree: LogicTree,
  named: ReadonlyMap<string, Embed>,
): Condition {
  if (tree.kind === 'group')
    return { ...tree, children: tree.children.map((child) => planCondition(cache, relation, child, named)) }
  const embed = tree.field.path.length === 0 ? named.get(tree.field.name) : undefined
  if (embed && !relation?.columns.has(tree.field.name)) {
    const { operation } = tree
    if (operation.kind !== 'is' || (operation.value !== 'null' && operation.value !== 'not_null')) {
      throw new DataApiError({
        code: 'PGRST120',
        message: `Bad operator on the '${tree.field.name}' embedded resource`,
        details: 'Only is null or not is null filters are allowed on embedded resources',
      })
    }
    return {
      kind: 'embed-null',
      aggregateAlias: embed.aggregateAlias,
      isNegated: tree.isNegated,
      value: operation.value,
    }
  }
  return {
    kind: 'filter',
    field: planField(relation, tree.field),
    isNegated: tree.isNegated,
    operation: tree.operation,
    valueTransform:
      tree.field.path.length === 0 ? representation(cache, relation, tree.field.name, 'from text') : undefined,
  }
}

const notEmbedded = (name: string): DataApiError =>
  new DataApiError({
    code: 'PGRST108',
    message: `'${name}' is not an embedded resource in this request`,
    hint: `Verify that '${name}' is included in the 'select' query parameter.`,
  })

const isSaid = ({ offset, limit }: RowRange): boolean => offset !== 0 || limit !== undefined

function at<T>(all: readonly At<T>[], paths: readonly EmbedPath[]): T[] {
  const wanted = new Set(paths.map((path) => JSON.stringify(path)))
  return all.filter((each) => wanted.has(JSON.stringify(each.at))).map(({ value }) => value)
}

function bounded({ offset, limit }: RowRange, most: number | undefined): RowRange {
  if (most === undefined) return { offset, limit }
  return { offset, limit: Math.min(limit ?? most, most) }
}

function isToOneOf(relationship: Relationship): boolean {
  if (relationship.kind === 'computed') return relationship.isToOne
  const { kind } = relationship.cardinality
  return kind === 'm2o' || kind === 'o2o'
}

/** What comes out of a spread embed, by name. Throws PGRST127 for an aggregate of a to-many. */
function spreadColumns(plan: ReadPlan, isToOne: boolean): SpreadColumn[] {
  const own = plan.select.flatMap((item): SpreadColumn[] => {
    if (item.kind === 'all')
      return [...(plan.relation?.columns.keys() ?? [])].map((name) => ({ name, aggregate: undefined }))
    if (item.aggregate && !isToOne) {
      throw new DataApiError({
        code: 'PGRST127',
        message: 'Feature not implemented',
        details: 'Aggregates are not implemented for one-to-many or many-to-many spreads.',
      })
    }
    return [
      {
        name: item.alias ?? (item.aggregate && item.field.name === '*' ? item.aggregate.function : item.field.name),
        aggregate: item.aggregate,
      },
    ]
  })
  const nested = plan.embeds.flatMap(({ isSelected, result }): SpreadColumn[] => {
    if (!isSelected) return []
    if (result.kind === 'spread') return [...result.columns]
    return [{ name: result.name, aggregate: undefined }]
  })
  return [...own, ...nested]
}

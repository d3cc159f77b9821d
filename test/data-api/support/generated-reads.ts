// Requests that read a generated schema, and what they should answer by another way: one simple statement for the rows of a relation, one more for
// each row and each relation that is embedded in it, and everything that is left done by hand.

import fc from 'fast-check'
import type pg from 'pg'
import {
  conditions,
  pathOf,
  pathSql,
  pathText,
  quote,
  treeParam,
  treeSql,
  type Path,
  type Tree,
} from './generated-conditions.ts'
import { ident, literal, type Schema, type Table, type TypeName } from './generated-schema.ts'

type Output = { kind: 'all' } | { kind: 'column'; of: Path; cast: string | undefined; alias: string | undefined }
type Order = { of: Path; relation: string | undefined; direction: '' | 'asc' | 'desc'; nulls: '' | 'first' | 'last' }
export type Link = {
  to: Table
  target: string
  isToOne: boolean
  /** Own columns with those of the other side; across a third table, with its own in between. */
  pairs: readonly (readonly [own: string, foreign: string])[]
  across:
    | { junction: string; own: readonly string[]; other: readonly (readonly [junction: string, foreign: string])[] }
    | undefined
}
type Embed = {
  alias: string
  link: Link
  isInner: boolean
  isSpread: boolean
  /** Rows with or without any of it. */
  isNull: boolean | undefined
  node: Node
}
export type Node = {
  table: Table
  outputs: readonly Output[]
  trees: readonly Tree[]
  order: readonly Order[]
  limit: number | undefined
  offset: number | undefined
  embeds: readonly Embed[]
}

/** In whatever way it leads there. */
export function linksOf({ tables }: Schema, from: Table): Link[] {
  const named = (name: string): Table => tables.find((each) => each.name === name) as Table
  const hinted = (name: string, hint: string): string => `${quote(name)}!${quote(hint)}`
  const up = from.foreignKeys.flatMap((key): Link[] => {
    const pairs = key.columns.map((own, i) => [own, key.toColumns[i] ?? ''] as const)
    if (key.to !== from.name && key.to !== from.shows)
      return [{ to: named(key.to), target: hinted(key.to, key.name), isToOne: true, pairs, across: undefined }]
    // One's own name leads down; up by a column, where no table is called that.
    const [own, ...others] = key.columns
    return own === undefined || tables.some(({ name }) => name === own) || others.length > 0 || from.shows !== undefined
      ? []
      : [{ to: from, target: quote(own), isToOne: true, pairs, across: undefined }]
  })
  if (from.shows !== undefined) return up
  const tablesOnly = tables.filter((each) => each.shows === undefined)
  const down = tablesOnly.flatMap((to) =>
    to.foreignKeys
      .filter((key) => key.to === from.name)
      .map((key): Link => ({
        to,
        target: hinted(to.name, key.name),
        isToOne: key.isUnique,
        pairs: key.columns.map((foreign, i) => [key.toColumns[i] ?? '', foreign] as const),
        across: undefined,
      })),
  )
  const across = tablesOnly.flatMap((junction) =>
    junction.foreignKeys.flatMap((one) =>
      junction.foreignKeys
        .filter(
          (other) =>
            one !== other &&
            one.to === from.name &&
            [one, other].every((each) => each.columns.every((name) => junction.key.includes(name))),
        )
        .map((other): Link => ({
          to: named(other.to),
          target: hinted(other.to, junction.name),
          isToOne: false,
          pairs: one.columns.map((name, i) => [one.toColumns[i] ?? '', name] as const),
          across: {
            junction: junction.name,
            own: one.columns,
            other: other.columns.map((name, i) => [name, other.toColumns[i] ?? ''] as const),
          },
        })),
    ),
  )
  return [...up, ...down, ...across]
}

const casts: Partial<Record<TypeName, readonly string[]>> = {
  integer: ['text', 'double precision', 'bigint'],
  bigint: ['text', 'numeric'],
  'timestamp with time zone': ['date', 'text'],
  text: ['character varying', 'text'],
}

function outputs(table: Table, at: string): fc.Arbitrary<Output[]> {
  const plain = fc.subarray([...table.columns], { minLength: 1 }).map((all) =>
    all.map((column): Output => ({
      kind: 'column',
      of: { column, steps: [], isText: false },
      cast: undefined,
      alias: undefined,
    })),
  )
  return fc.oneof(
    fc.constant<Output[]>([{ kind: 'all' }]),
    plain,
    named(table, at),
    named(table, at).map((all): Output[] => [{ kind: 'all' }, ...all]),
  )
}

const named = (table: Table, at: string): fc.Arbitrary<Output[]> =>
  fc
    .array(
      pathOf(table.columns).chain((of) =>
        fc.record({
          kind: fc.constant('column' as const),
          of: fc.constant(of),
          cast:
            of.steps.length > 0
              ? fc.constant(undefined)
              : fc.option(fc.constantFrom(...(casts[of.column.type] ?? ['text'])), { nil: undefined }),
        }),
      ),
      { minLength: 1, maxLength: 3 },
    )
    .map((all) => all.map((each, i): Output => ({ ...each, alias: `o.${at}${i} "x",` })))

/** Mostly not: what is narrowed down at every turn is empty. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 4 }, { arbitrary, weight: 1 })

export function reads(schema: Schema, table: Table, depth = 2, at = ''): fc.Arbitrary<Node> {
  const links = depth === 0 ? [] : linksOf(schema, table)
  const some = fc.uniqueArray(fc.constantFrom(...(links.length > 0 ? links : [undefined])), {
    maxLength: 2,
    selector: (each) => each?.to.name,
  })
  return some
    .chain((chosen) =>
      fc.tuple(
        ...chosen.flatMap((link, i) => {
          if (!link) return []
          return fc
            .record({
              link: fc.constant(link),
              isInner: seldom(fc.constant(true)).map((each) => each ?? false),
              isSpread: seldom(fc.constant(true)).map((each) => each ?? false),
              isNull: seldom(fc.boolean()),
            })
            .chain((embed) =>
              reads(schema, link.to, embed.isSpread ? 0 : depth - 1, `${at}${i}`).chain((node) =>
                (embed.isSpread
                  ? named(link.to, `${at}${i}s`)
                  : fc.oneof(
                      ...(node.embeds.length > 0 ? [] : [fc.constant([])]),
                      fc.constant([...node.outputs]),
                      fc.constant([...node.outputs]),
                    )
                ).map((chosenOutputs): Embed => ({
                  ...embed,
                  alias: `e${at}${i}."(`,
                  node: { ...node, outputs: chosenOutputs },
                })),
              ),
            )
        }),
      ),
    )
    .chain((embeds) => {
      const order = fc.record({
        of: pathOf(table.columns),
        relation: fc.constant(undefined),
        direction: fc.constantFrom('' as const, 'asc' as const, 'desc' as const),
        nulls: fc.constantFrom('' as const, 'first' as const, 'last' as const),
      })
      const simple = embeds.filter(
        ({ link, node }) =>
          link.isToOne && node.limit === undefined && node.offset === undefined && node.embeds.length === 0,
      )
      const related = simple.map((embed) =>
        order.chain((term) => pathOf(embed.link.to.columns).map((of) => ({ ...term, of, relation: nameOf(embed) }))),
      )
      return fc.record({
        table: fc.constant(table),
        outputs: outputs(table, at),
        trees: seldom(fc.array(conditions(table), { minLength: 1, maxLength: 2 })).map((all) => all ?? []),
        order: fc.array(fc.oneof<fc.Arbitrary<Order>[]>(order, ...related, ...related), { maxLength: 2 }),
        limit: seldom(fc.nat({ max: 4 })),
        offset: seldom(fc.nat({ max: 3 })),
        embeds: fc.constant(embeds),
      })
    })
}

/** Under which it is spoken of. */
const nameOf = ({ alias, isSpread, link }: Embed): string =>
  isSpread ? (link.target.startsWith('"') ? unquote(link.target) : link.target) : alias
const unquote = (target: string): string =>
  JSON.parse(/^"(?:[^"\\]|\\.)*"/.exec(target.replaceAll('\t', '\\t'))?.[0] ?? '""') as string

/** Rows come in one order only when they are ordered by their key. */
const orderOf = ({ order, table }: Node): Order[] => [
  ...order,
  ...table.columns
    .filter(({ name }) => table.key.includes(name))
    .map((column): Order => ({
      of: { column, steps: [], isText: false },
      relation: undefined,
      direction: '',
      nulls: '',
    })),
]

function selectText({ outputs: all, embeds }: Node): string {
  const own = all.map((each) =>
    each.kind === 'all'
      ? '*'
      : `${each.alias === undefined ? '' : `${quote(each.alias)}:`}${pathText(each.of)}${each.cast === undefined ? '' : `::${each.cast}`}`,
  )
  const inner = embeds.map(
    (embed) =>
      `${embed.isSpread ? '...' : `${quote(embed.alias)}:`}${embed.link.target}${embed.isInner ? '!inner' : ''}(${selectText(embed.node)})`,
  )
  return [...own, ...inner].join(',')
}

function paramsOf(node: Node, prefix: string): [string, string][] {
  const { trees, limit, offset, embeds } = node
  return [
    ...trees.map((tree) => treeParam(tree, prefix)),
    [
      `${prefix}order`,
      orderOf(node)
        .map(({ of, relation, direction, nulls }) => {
          const field = relation === undefined ? pathText(of) : `${quote(relation)}(${pathText(of)})`
          return `${field}${direction === '' ? '' : `.${direction}`}${nulls === '' ? '' : `.nulls${nulls}`}`
        })
        .join(','),
    ],
    ...(limit === undefined ? [] : [[`${prefix}limit`, String(limit)] as [string, string]]),
    ...(offset === undefined ? [] : [[`${prefix}offset`, String(offset)] as [string, string]]),
    ...embeds.flatMap((embed) => [
      ...(embed.isNull === undefined || embed.isSpread
        ? []
        : [[`${prefix}${quote(embed.alias)}`, embed.isNull ? 'is.null' : 'not.is.null'] as [string, string]]),
      ...paramsOf(embed.node, `${prefix}${quote(nameOf(embed))}.`),
    ]),
  ]
}

export function targetOf(node: Node): string {
  const params = [['select', selectText(node)] as const, ...paramsOf(node, '')]
  const e = encodeURIComponent
  return `/${e(node.table.name)}?${params.map(([key, value]) => `${e(key)}=${e(value)}`).join('&')}`
}

/** `own`: values or columns of the row that it is joined to. */
export function joined(schema: string, { pairs, across }: Link, own: readonly string[], alias = 't'): string {
  if (!across) return pairs.map(([, foreign], i) => `${alias}.${ident(foreign)} = ${own[i]}`).join(' and ')
  const conditions_ = [
    ...across.own.map((name, i) => `j.${ident(name)} = ${own[i]}`),
    ...across.other.map(([name, foreign]) => `j.${ident(name)} = ${alias}.${ident(foreign)}`),
  ]
  return `exists (select from ${ident(schema)}.${ident(across.junction)} j where ${conditions_.join(' and ')})`
}

class Reference {
  readonly #client: pg.Client
  readonly #schema: string

  constructor(client: pg.Client, schema: string) {
    this.#client = client
    this.#schema = schema
  }

  /** Each row as the pairs of its JSON object, and how many there would be without a range. */
  async rows(
    node: Node,
    where: readonly string[],
  ): Promise<{ rows: (readonly [name: string, json: string])[][]; total: number }> {
    const { table, outputs: all, trees, embeds } = node
    const columns = all.flatMap((each) =>
      each.kind === 'all'
        ? table.columns.map((column): [string, string] => [column.name, `t.${ident(column.name)}`])
        : [this.#output(each)],
    )
    const conditions_ = [...where, ...trees.map((tree) => treeSql(this.#schema, tree))]
    const terms = orderOf(node).map(({ of, relation, direction, nulls }) => {
      const embed = relation === undefined ? undefined : embeds.find((each) => nameOf(each) === relation)
      return `${embed ? this.#related(embed, of) : pathSql(of, 't')} ${direction} ${nulls === '' ? '' : `nulls ${nulls}`}`
    })
    const list = [
      ...columns.map(([, sql]) => `to_jsonb(${sql})::text`),
      ...table.columns.map(({ name }) => `t.${ident(name)}::text`),
    ]
    const text = `select ${list.join(', ')} from ${this.#at(table.name)} t ${conditions_.length > 0 ? `where ${conditions_.join(' and ')}` : ''} order by ${terms.join(', ')}`
    const { rows } = await this.#client.query<(string | null)[]>({ text, rowMode: 'array' })
    const found: (readonly [string, string])[][] = []
    for (const row of rows) {
      const pairs = columns.map(([name], i) => [name, row[i] ?? 'null'] as const)
      const made = await this.#embedded(node, row.slice(columns.length))
      if (made) found.push([...pairs, ...made])
    }
    const { offset = 0, limit = Infinity } = node
    return { rows: found.slice(offset, offset + limit), total: found.length }
  }

  /** Undefined where the row is not wanted for what is embedded in it. */
  async #embedded(
    { table, embeds }: Node,
    row: readonly (string | null)[],
  ): Promise<(readonly [string, string])[] | undefined> {
    const made: (readonly [string, string])[] = []
    for (const embed of embeds) {
      const { link, isInner, isSpread, isNull, alias, node } = embed
      const own = link.pairs.map(([name]) => row[table.columns.findIndex((each) => each.name === name)] ?? null)
      const { rows } = own.includes(null)
        ? { rows: [] }
        : await this.rows(node, [
            joined(
              this.#schema,
              link,
              own.map((each) => literal(each)),
            ),
          ])
      if (isInner && rows.length === 0) return undefined
      if (!isSpread && isNull !== undefined && isNull !== (rows.length === 0)) return undefined
      if (node.outputs.length === 0 && node.embeds.length === 0) continue
      const [first] = rows
      if (isSpread) {
        for (const [i, name] of node.outputs
          .flatMap((each) => (each.kind === 'column' ? [each.alias ?? ''] : []))
          .entries()) {
          const values = rows.map((each) => each[i]?.[1] ?? 'null')
          made.push([name, link.isToOne ? (values[0] ?? 'null') : `[${values.join(',')}]`])
        }
      } else
        made.push([alias, link.isToOne ? (first ? objectText(first) : 'null') : `[${rows.map(objectText).join(',')}]`])
    }
    return made
  }

  #related({ link, node }: Embed, of: Path): string {
    const own = link.pairs.map(([name]) => `t.${ident(name)}`)
    const conditions_ = [
      joined(this.#schema, link, own, 'r'),
      ...node.trees.map((tree) => treeSql(this.#schema, tree, 'r')),
    ]
    return `(select ${pathSql(of, 'r')} from ${this.#at(link.to.name)} r where ${conditions_.join(' and ')})`
  }

  #at(name: string): string {
    return `${ident(this.#schema)}.${ident(name)}`
  }

  #output({ of, cast, alias }: Extract<Output, { kind: 'column' }>): [name: string, sql: string] {
    const path = pathSql(of, 't')
    return [alias ?? of.column.name, cast === undefined ? path : `(${path})::${cast}`]
  }
}

const objectText = (pairs: readonly (readonly [string, string])[]): string =>
  `{${pairs.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`

/** The body that it should have, as JSON, and how many rows there are without a range. */
export async function expectedOf(
  client: pg.Client,
  schema: Schema,
  node: Node,
): Promise<{ body: string; rows: number; total: number }> {
  const { rows, total } = await new Reference(client, schema.name).rows(node, [])
  return { body: `[${rows.map(objectText).join(',')}]`, rows: rows.length, total }
}

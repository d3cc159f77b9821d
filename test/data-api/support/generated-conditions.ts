// Conditions of rows: at random, as a request says them, and as SQL that somebody might write by hand.

import fc from 'fast-check'
import { ident, literal, sqlType, type Column, type Schema, type Table, type TypeName } from './generated-schema.ts'

type Step = { key: string } | { index: number }
export type Path = { column: Column; steps: readonly Step[]; isText: boolean }
type Comparison =
  | { operator: string; value: string }
  | { operator: 'is'; value: string }
  | { operator: 'in'; values: readonly string[] }
  | { operator: string; quantifier: 'any' | 'all'; values: readonly string[] }
export type Tree =
  | { kind: 'condition'; of: Path; isNegated: boolean; comparison: Comparison }
  | { kind: 'group'; operator: 'and' | 'or'; isNegated: boolean; children: readonly Tree[] }
const stepsOf = (type: TypeName): fc.Arbitrary<Step[]> =>
  type === 'jsonb'
    ? fc.array(
        fc.oneof(
          fc.constantFrom('a', 'k k', '0', `"'`).map((key) => ({ key })),
          fc.integer({ min: -1, max: 1 }).map((index) => ({ index })),
        ),
        { maxLength: 2 },
      )
    : type === 'text[]'
      ? fc.array(
          fc.integer({ min: 0, max: 1 }).map((index) => ({ index })),
          { maxLength: 1 },
        )
      : fc.constant([])

export const pathOf = (columns: readonly Column[]): fc.Arbitrary<Path> =>
  fc
    .constantFrom(...columns)
    .chain((column) => fc.record({ column: fc.constant(column), steps: stepsOf(column.type), isText: fc.boolean() }))

export function conditions(table: Table): fc.Arbitrary<Tree> {
  const condition = pathOf(table.columns).chain((of) => {
    const isJson = of.steps.length > 0
    const { type } = of.column
    const known = table.rows.flatMap((row) => row[table.columns.indexOf(of.column)]?.literal ?? [])
    const value: fc.Arbitrary<string> = isJson
      ? fc.constantFrom(...(of.isText ? ['a', '1', '', '"'] : ['1', '"a"', 'null', '[]', '{"a": 1}']))
      : fc.oneof(
          of.column.values.map((each) => each.literal ?? ''),
          ...(known.length > 0 ? [fc.constantFrom(...known)] : []),
        )
    const isText = isJson ? of.isText : type === 'text'
    const simple = fc.record({ operator: fc.constantFrom('eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'isdistinct'), value })
    const patterns = fc.record({
      operator: fc.constantFrom('like', 'ilike'),
      value: value.map((text) => text.replaceAll('\\', '*').replaceAll('a', '*')),
    })
    const contained = fc.record({ operator: fc.constantFrom('cs', 'cd', ...(type === 'text[]' ? ['ov'] : [])), value })
    const many = fc.array(value, { maxLength: 3 })
    const comparison = fc.oneof<fc.Arbitrary<Comparison>[]>(
      simple,
      fc.constantFrom('null', 'not_null', 'NULL').map((each) => ({ operator: 'is' as const, value: each })),
      ...(type === 'boolean'
        ? [fc.constantFrom('true', 'false', 'unknown').map((each) => ({ operator: 'is' as const, value: each }))]
        : []),
      ...(isText ? [patterns] : []),
      ...((type === 'jsonb' && !(isJson && of.isText)) || (type === 'text[]' && !isJson) ? [contained] : []),
      // Of arrays it would be about their elements.
      ...(type === 'text[]' && !isJson
        ? []
        : [
            many
              .filter((all) => all.length !== 1 || all[0] !== '')
              .map((values) => ({ operator: 'in' as const, values })),
            fc.record({
              operator: fc.constantFrom('eq', 'gt', 'lte'),
              quantifier: fc.constantFrom<'any' | 'all'>('any', 'all'),
              values: many,
            }),
          ]),
    )
    return fc.record({
      kind: fc.constant('condition' as const),
      of: fc.constant(of),
      isNegated: fc.boolean(),
      comparison,
    })
  })
  return fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 2 },
      condition,
      fc.record({
        kind: fc.constant('group' as const),
        operator: fc.constantFrom('and', 'or'),
        isNegated: fc.boolean(),
        children: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }),
      }),
    ),
  })).tree
}

export const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, (sign) => `\\${sign}`)}"`
export const pathText = ({ column, steps, isText }: Path): string =>
  quote(column.name) +
  steps
    .map(
      (step, i) => `${isText && i === steps.length - 1 ? '->>' : '->'}${'key' in step ? quote(step.key) : step.index}`,
    )
    .join('')
const arrayText = (all: readonly string[]): string => `{${all.map(quote).join(',')}}`

function comparisonText(comparison: Comparison, isInTree: boolean): string {
  if ('values' in comparison) {
    if (!('quantifier' in comparison)) return `in.(${comparison.values.map(quote).join(',')})`
    const text = arrayText(comparison.values)
    return `${comparison.operator}(${comparison.quantifier}).${isInTree ? quote(text) : text}`
  }
  return `${comparison.operator}.${isInTree && comparison.operator !== 'is' ? quote(comparison.value) : comparison.value}`
}
const not = (isNegated: boolean): string => (isNegated ? 'not.' : '')
const treeText = (tree: Tree): string =>
  tree.kind === 'group'
    ? `${not(tree.isNegated)}${tree.operator}(${tree.children.map(treeText).join(',')})`
    : `${pathText(tree.of)}.${not(tree.isNegated)}${comparisonText(tree.comparison, true)}`

/** As a parameter of the query. */
export const treeParam = (tree: Tree, prefix: string): [key: string, value: string] =>
  tree.kind === 'group'
    ? [`${prefix}${not(tree.isNegated)}${tree.operator}`, `(${tree.children.map(treeText).join(',')})`]
    : [`${prefix}${pathText(tree.of)}`, `${not(tree.isNegated)}${comparisonText(tree.comparison, false)}`]

const signs: Readonly<Record<string, string>> = {
  eq: '=', neq: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=', isdistinct: 'is distinct from', like: 'like', ilike: 'ilike', cs: '@>', cd: '<@', ov: '&&',
} // prettier-ignore

export function pathSql({ column, steps, isText }: Path, alias: string): string {
  const base = `${alias}.${ident(column.name)}`
  if (steps.length === 0) return base
  return steps.reduce(
    (sql, step, i) =>
      `(${sql} ${isText && i === steps.length - 1 ? '->>' : '->'} ${'key' in step ? literal(step.key) : `(${step.index})`})`,
    `to_jsonb(${base})`,
  )
}

export function treeSql(schema: string, tree: Tree, alias = 't'): string {
  if (tree.kind === 'group') {
    const all = `(${tree.children.map((child) => treeSql(schema, child, alias)).join(` ${tree.operator} `)})`
    return tree.isNegated ? `(not ${all})` : all
  }
  const { of, comparison, isNegated } = tree
  const type = of.steps.length === 0 ? sqlType(schema, of.column.type) : of.isText ? 'text' : 'jsonb'
  const left = pathSql(of, alias)
  const typed = (text: string): string => `${literal(text)}::${type}`
  const is = ((): string => {
    if ('values' in comparison) {
      const all = `array[${comparison.values.map(typed).join(', ')}]::${type}[]`
      return 'quantifier' in comparison
        ? `${left} ${signs[comparison.operator]} ${comparison.quantifier} (${all})`
        : `${left} = any (${all})`
    }
    const { operator, value } = comparison
    if (operator === 'is') return `${left} is ${value.replace('_', ' ')}`
    if (operator === 'like' || operator === 'ilike') return `${left} ${operator} ${literal(value.replaceAll('*', '%'))}`
    return `${left} ${signs[operator]} ${typed(value)}`
  })()
  return isNegated ? `(not (${is}))` : `(${is})`
}

/** In SQL, of the rows of `t`. */
export const whereOf = (schema: Schema, trees: readonly Tree[]): string =>
  trees.length === 0 ? 'true' : trees.map((tree) => treeSql(schema.name, tree)).join(' and ')

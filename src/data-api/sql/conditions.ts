// Conditions of rows. Values are parameters without a type: Postgres gives each the type of what it is compared with.

import type { Condition, PlannedField } from '../plan/plan.ts'
import type { IsValue, Operation, QuantifiedOperator, SearchOperator, SimpleOperator } from '../request/syntax.ts'
import { arrayLiteral } from './array-literal.ts'
import { fieldExpression } from './fields.ts'
import { ident, join, param, qualified, raw, sql, type Snippet } from './snippet.ts'

const quantifiedSql: Readonly<Record<QuantifiedOperator, string>> = {
  eq: '=',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
  like: 'LIKE',
  ilike: 'ILIKE',
  match: '~',
  imatch: '~*',
}
const simpleSql: Readonly<Record<SimpleOperator, string>> = {
  neq: '<>',
  cs: '@>',
  cd: '<@',
  ov: '&&',
  sl: '<<',
  sr: '>>',
  nxr: '&<',
  nxl: '&>',
  adj: '-|-',
}
const searchSql: Readonly<Record<SearchOperator, string>> = {
  fts: 'to_tsquery',
  plfts: 'plainto_tsquery',
  phfts: 'phraseto_tsquery',
  wfts: 'websearch_to_tsquery',
}
const isSql: Readonly<Record<IsValue, string>> = {
  null: 'NULL',
  not_null: 'NOT NULL',
  true: 'TRUE',
  false: 'FALSE',
  unknown: 'UNKNOWN',
}

/** Column of every embed's subquery: true where there is one. */
export const exists = 'pgrst_exists'

export function conditionSql(of: string, condition: Condition): Snippet {
  switch (condition.kind) {
    case 'group': {
      const parts = condition.children.map((child) => conditionSql(of, child))
      const all = sql`(${join(parts, condition.operator === 'and' ? ' AND ' : ' OR ')})`
      return condition.isNegated ? sql`NOT ${all}` : all
    }
    case 'embed-null': {
      const isNull = (condition.value === 'null') !== condition.isNegated
      return sql`${ident(condition.aggregateAlias)}.${ident(exists)} ${raw(isNull ? 'IS NULL' : 'IS NOT NULL')}`
    }
    case 'filter': {
      const { field, operation, valueTransform } = condition
      const left = fieldExpression(of, { ...field, transform: undefined })
      const value = (text: string): Snippet =>
        valueTransform ? sql`${qualified(valueTransform)}(${param(text)}::text)` : param(text)
      const values = (array: string): Snippet =>
        valueTransform
          ? sql`ARRAY(SELECT ${qualified(valueTransform)}(pgrst_value) FROM unnest(${param(array)}::text[]) AS pgrst_value)`
          : param(array)
      const is = operationSql(left, operation, { value, values }, field)
      return condition.isNegated ? sql`NOT ${is}` : is
    }
  }
}

/** What a field is compared with: one text, or those of an array literal. */
type Given = { value: (text: string) => Snippet; values: (array: string) => Snippet }

function operationSql(
  left: Snippet,
  operation: Operation,
  { value, values }: Given,
  { baseType, path }: PlannedField,
): Snippet {
  switch (operation.kind) {
    case 'quantified': {
      const { operator, quantifier } = operation
      const isPattern = operator === 'like' || operator === 'ilike'
      const text = isPattern ? operation.value.replaceAll('*', '%') : operation.value
      const sign = raw(quantifiedSql[operator])
      if (quantifier === undefined) return sql`${left} ${sign} ${value(text)}`
      return sql`${left} ${sign} ${raw(quantifier.toUpperCase())}(${values(text)})`
    }
    case 'simple':
      return sql`${left} ${raw(simpleSql[operation.operator])} ${value(operation.value)}`
    case 'in':
      return sql`${left} = ANY(${values(arrayLiteral(operation.values))})`
    case 'is':
      return sql`${left} IS ${raw(isSql[operation.value])}`
    case 'isdistinct':
      return sql`${left} IS DISTINCT FROM ${value(operation.value)}`
    case 'search': {
      const language = operation.language
      const configuration = language === undefined ? sql`` : sql`${param(language)}::regconfig, `
      const isVector = path.length === 0 && (baseType === undefined || baseType === 'tsvector')
      const searched = isVector ? left : sql`to_tsvector(${configuration}${left})`
      return sql`${searched} @@ ${raw(searchSql[operation.operator])}(${configuration}${param(operation.value)})`
    }
  }
}

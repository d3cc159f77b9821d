// Conditions: `col=not.in.(a,"b,c")`, `col=like(any).{a*,b*}`, `and=(a.eq.1,or(b.gt.2,not.and(…)))`.

import { deepest, parseAll, type Cursor } from './cursor.ts'
import { field, jsonPath, fieldName, quoted } from './names.ts'
import type {
  At,
  Filter,
  IsValue,
  LogicGroup,
  LogicTree,
  Operation,
  QuantifiedOperator,
  SearchOperator,
  SimpleOperator,
} from './syntax.ts'

const quantified = ['eq', 'gte', 'gt', 'lte', 'lt', 'like', 'ilike', 'match', 'imatch'] as const
const simple = ['neq', 'cs', 'cd', 'ov', 'sl', 'sr', 'nxr', 'nxl', 'adj'] as const
const search = ['fts', 'plfts', 'phfts', 'wfts'] as const
const isValues: readonly IsValue[] = ['not_null', 'null', 'true', 'false', 'unknown']
const operatorExpected = 'operator (eq, gt, ...)'

/** One parameter of the query string. */
export function parseFilter(key: string, value: string): At<Filter> {
  const { at, field: of } = parsePath(key)
  const parsed = parseAll(value, 'filter', (cursor) => negatable(cursor, restOfText))
  return { at, value: { kind: 'filter', field: of, ...parsed } }
}

const operatorPattern = new RegExp(
  `^(?:not\\.)?(?:(?:${quantified.join('|')})(?:\\((?:any|all)\\))?|${simple.join('|')}|(?:${search.join('|')})(?:\\([^()]{0,100}\\))?|in|is|isdistinct)\\.`,
)
/** Of a parameter's value: whether it is a condition's, or may be an argument of a function. */
export const hasOperator = (value: string): boolean => operatorPattern.test(value)

/** `embed.nested.col->a`: the embeds, and the field in the last of them. */
export function parsePath(key: string): { at: string[]; field: Filter['field'] } {
  return parseAll(key, 'tree path', (cursor) => {
    const names: string[] = []
    do {
      const name = fieldName(cursor)
      if (name === undefined) return undefined
      names.push(name)
    } while (cursor.eat('.'))
    const path = jsonPath(cursor)
    if (path === undefined) return undefined
    return { at: names.slice(0, -1), field: { name: names.at(-1) ?? '', path } }
  })
}

/** `key`: `and`, `not.or`, `embed.and` … */
export function parseLogic(key: string, value: string): At<LogicGroup> {
  const words = key.split('.')
  const operator = words.pop() === 'or' ? 'or' : 'and'
  const isNegated = words.at(-1) === 'not'
  if (isNegated) words.pop()
  const at = words.length === 0 ? [] : namesOf(words.join('.'))
  const columnsBefore = (isNegated ? 'not.' : '').length + operator.length
  // What follows the tree is ignored, as it always was.
  const found = parseBeginning(value, 'logic tree', (cursor) => children(cursor, 0), columnsBefore)
  return { at, value: { kind: 'group', operator, isNegated, children: found } }
}

function namesOf(path: string): string[] {
  const { at, field: last } = parsePath(path)
  return [...at, last.name]
}

function parseBeginning<T>(
  text: string,
  what: string,
  rule: (cursor: Cursor) => T | undefined,
  columnsBefore: number,
): T {
  let found: T | undefined
  const beginning = (cursor: Cursor): true | undefined => {
    found = rule(cursor)
    if (found === undefined) return undefined
    cursor.at = cursor.text.length
    return true
  }
  parseAll(text, what, beginning, columnsBefore)
  return found as T
}

function children(cursor: Cursor, depth: number): LogicTree[] | undefined {
  if (depth > deepest) {
    cursor.expected('fewer levels')
    return undefined
  }
  cursor.skipBlanks()
  if (!cursor.eat('(')) return undefined
  const found: LogicTree[] = []
  do {
    cursor.skipBlanks()
    const start = cursor.at
    const child = group(cursor, depth) ?? condition(cursor)
    if (child === undefined) noteGroup(cursor, start)
    if (child === undefined || child === false) return undefined
    found.push(child)
    cursor.skipBlanks()
  } while (cursor.eat(','))
  return cursor.eat(')') ? found : undefined
}

/** Undefined, and nothing read, where it is none; false where it goes wrong. */
function group(cursor: Cursor, depth: number): LogicGroup | undefined | false {
  const match = /(not\.)?(and|or)\s*(?=\()/y
  match.lastIndex = cursor.at
  const [text, negation, operator] = match.exec(cursor.text) ?? []
  if (text === undefined) return undefined
  cursor.at += text.length
  const found = children(cursor, depth + 1)
  if (found === undefined) return false
  return {
    kind: 'group',
    operator: operator === 'or' ? 'or' : 'and',
    isNegated: negation !== undefined,
    children: found,
  }
}

/** Of what is no condition: where it begins as a group does, it is one that goes wrong. */
function noteGroup(cursor: Cursor, start: number): void {
  const match = /(?:not\.)?(?:and|or)/y
  match.lastIndex = start
  const [word] = match.exec(cursor.text) ?? []
  cursor.at = start + (word?.length ?? 0)
  if (word !== undefined) return cursor.insist('"("')
  cursor.expected('negation operator (not)')
  cursor.expected('logic operator (and, or)')
}

function condition(cursor: Cursor): Filter | undefined {
  const of = field(cursor)
  if (of === undefined || !cursor.eat('.')) return undefined
  const parsed = negatable(cursor, valueInTree)
  return parsed && { kind: 'filter', field: of, ...parsed }
}

type ReadValue = (cursor: Cursor) => string

const restOfText: ReadValue = (cursor) => {
  const text = cursor.text.slice(cursor.at)
  cursor.at = cursor.text.length
  return text
}

/** Up to the next comma or parenthesis, unless it is quoted, or an array that may hold those. */
const valueInTree: ReadValue = (cursor) => listElement(cursor, true)

function listElement(cursor: Cursor, mayBeArray: boolean): string {
  const start = cursor.at
  if (cursor.comes('"')) {
    const text = quoted(cursor)
    if (text !== undefined && (cursor.isAtEnd || cursor.comes(',') || cursor.comes(')'))) return text
    cursor.at = start
  }
  if (mayBeArray && cursor.comes('{')) {
    const end = cursor.text.indexOf('}', cursor.at)
    if (end >= 0) {
      cursor.at = end + 1
      return cursor.text.slice(start, cursor.at)
    }
  }
  while (!cursor.isAtEnd && cursor.peek() !== ',' && cursor.peek() !== ')') cursor.at += 1
  return cursor.text.slice(start, cursor.at)
}

function negatable(cursor: Cursor, readValue: ReadValue): { isNegated: boolean; operation: Operation } | undefined {
  const isNegated = cursor.comes('not.')
  if (isNegated) cursor.at += 4
  else cursor.expected('"not"')
  const operation = operationOf(cursor, readValue)
  return operation && { isNegated, operation }
}

function operationOf(cursor: Cursor, readValue: ReadValue): Operation | undefined {
  const match = /([a-z]+)(\([^()]{0,100}\))?\./y
  match.lastIndex = cursor.at
  const [text = '', word = '', modifier] = match.exec(cursor.text) ?? []
  const inside = modifier?.slice(1, -1)
  const read = <T>(operator: T, make: (operator: T) => Operation | undefined): Operation | undefined => {
    cursor.at += text.length
    return make(operator)
  }
  if (word === 'in' && inside === undefined) return read(word, () => inList(cursor))
  if (word === 'is' && inside === undefined) return read(word, () => isValue(cursor))
  if (word === 'isdistinct' && inside === undefined)
    return read(word, () => ({ kind: 'isdistinct', value: readValue(cursor) }))
  const searched = search.find((each) => each === word)
  if (searched !== undefined)
    return read<SearchOperator>(searched, (operator) => ({
      kind: 'search',
      operator,
      language: inside,
      value: readValue(cursor),
    }))
  const plain = simple.find((each) => each === word)
  if (plain !== undefined && inside === undefined)
    return read<SimpleOperator>(plain, (operator) => ({ kind: 'simple', operator, value: readValue(cursor) }))
  const compared = quantified.find((each) => each === word)
  if (compared !== undefined && (inside === undefined || inside === 'any' || inside === 'all'))
    return read<QuantifiedOperator>(compared, (operator) => ({
      kind: 'quantified',
      operator,
      quantifier: inside,
      value: readValue(cursor),
    }))
  cursor.expected(operatorExpected)
  return undefined
}

function inList(cursor: Cursor): Operation | undefined {
  if (!cursor.eat('(')) return undefined
  const values: string[] = []
  do values.push(listElement(cursor, false))
  while (cursor.eat(','))
  if (!cursor.eat(')')) return undefined
  // `in.()`: no value rather than the empty one.
  return { kind: 'in', values: values.length === 1 && values[0] === '' ? [] : values }
}

function isValue(cursor: Cursor): Operation | undefined {
  const match = /[a-z_]+/iy
  match.lastIndex = cursor.at
  const word = match.exec(cursor.text)?.[0].toLowerCase()
  const value = isValues.find((each) => each === word)
  if (value === undefined) {
    cursor.expected('isVal: (null, not_null, true, false, unknown)')
    return undefined
  }
  cursor.at += value.length
  return { kind: 'is', value }
}

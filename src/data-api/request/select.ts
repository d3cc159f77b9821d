// `select=a,b->c::text,total:amount.sum(),author:users!fk!inner(name),...details(x)`

import { deepest, parseAll, type Cursor } from './cursor.ts'
import { field, fieldName, typeName } from './names.ts'
import type { Aggregate, AggregateFunction, JoinType, SelectField, SelectItem, SelectRelation } from './syntax.ts'

const aggregates: readonly AggregateFunction[] = ['sum', 'avg', 'max', 'min', 'count']

export function parseSelect(text: string): SelectItem[] {
  if (text.trim() === '') return []
  return parseAll(text, 'select parameter', (cursor) => items(cursor, 0))
}

function items(cursor: Cursor, depth: number): SelectItem[] | undefined {
  if (depth > deepest) {
    cursor.expected('fewer levels of embedding')
    return undefined
  }
  const found: SelectItem[] = []
  do {
    cursor.skipBlanks()
    const start = cursor.at
    cursor.expected('"..."')
    const item = relation(cursor, depth) ?? selectedField(cursor)
    if (item === undefined) noteField(cursor, start)
    if (item === undefined || item === false) return undefined
    found.push(item)
    cursor.skipBlanks()
  } while (cursor.eat(','))
  return found
}

function noteField(cursor: Cursor, start: number): void {
  cursor.at = start
  cursor.expected('"*"')
  cursor.expected('"count()"')
}

/** Undefined, and nothing read, where no parenthesis follows: then it is a field. False: it is a relation, and goes wrong. */
function relation(cursor: Cursor, depth: number): SelectRelation | undefined | false {
  const start = cursor.at
  const isSpread = cursor.comes('...')
  if (isSpread) cursor.at += 3
  const found = relationHead(cursor, isSpread)
  if (found === undefined) {
    cursor.at = start
    return undefined
  }
  cursor.skipBlanks()
  if (cursor.eat(')')) return { ...found, children: [] }
  const children = items(cursor, depth + 1)
  if (children === undefined || !cursor.eat(')')) return false
  return { ...found, children }
}

function relationHead(cursor: Cursor, isSpread: boolean): Omit<SelectRelation, 'children'> | undefined {
  const alias = isSpread ? undefined : aliasOf(cursor)
  if (cursor.comes('count()')) return undefined
  const name = fieldName(cursor)
  if (name === undefined) return undefined
  let hint: string | undefined
  let join: JoinType | undefined
  while (cursor.eat('!')) {
    const isName = cursor.comes('"')
    const word = fieldName(cursor)
    if (word === undefined) return undefined
    if (!isName && (word === 'inner' || word === 'left')) join = word
    else hint = word
  }
  return cursor.eat('(') ? { kind: 'relation', isSpread, relation: name, alias, hint, join } : undefined
}

/** `x:`, but not the beginning of `x::type`. */
function aliasOf(cursor: Cursor): string | undefined {
  const start = cursor.at
  const name = fieldName(cursor)
  if (name !== undefined && cursor.comes(':') && !cursor.comes('::')) {
    cursor.at += 1
    return name
  }
  cursor.at = start
  return undefined
}

function selectedField(cursor: Cursor): SelectField | undefined {
  if (cursor.comes('*')) {
    cursor.at += 1
    return isEnd(cursor) ? { kind: 'field', field: { name: '*', path: [] }, ...nothing } : undefined
  }
  const alias = aliasOf(cursor)
  if (cursor.comes('count()')) {
    cursor.at += 'count()'.length
    const cast = castOf(cursor)
    if (cast === false || !isEnd(cursor)) return undefined
    const aggregate: Aggregate = { function: 'count', cast }
    return { kind: 'field', field: { name: '*', path: [] }, ...nothing, alias, aggregate }
  }
  const of = field(cursor)
  if (of === undefined) return undefined
  const cast = castOf(cursor)
  if (cast === false) return undefined
  const aggregate = aggregateOf(cursor)
  if (aggregate === false || !isEnd(cursor)) return undefined
  return { kind: 'field', field: of, cast, aggregate, alias }
}

const nothing = { cast: undefined, aggregate: undefined, alias: undefined } as const

/** False where one is begun and goes wrong. */
function castOf(cursor: Cursor): string | undefined | false {
  return cursor.eat('::') ? (typeName(cursor) ?? false) : undefined
}

function aggregateOf(cursor: Cursor): Aggregate | undefined | false {
  if (!cursor.eat('.')) return undefined
  const name = aggregates.find((each) => cursor.comes(`${each}()`))
  if (name === undefined) {
    for (const each of aggregates) cursor.expected(`"${each}()"`)
    return false
  }
  cursor.at += name.length + 2
  const cast = castOf(cursor)
  return cast === false ? false : { function: name, cast }
}

function isEnd(cursor: Cursor): boolean {
  if (cursor.isAtEnd || cursor.comes(',') || cursor.comes(')')) return true
  for (const each of ['","', '")"', 'end of input']) cursor.expected(each)
  return false
}

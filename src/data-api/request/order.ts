// `order=a.desc.nullslast,b->>k,rel(col).asc`

import { parseAll, type Cursor } from './cursor.ts'
import { field, fieldName } from './names.ts'
import type { OrderTerm } from './syntax.ts'

export function parseOrder(text: string): OrderTerm[] {
  return parseAll(text, 'order', (cursor) => {
    const terms: OrderTerm[] = []
    do {
      cursor.skipBlanks()
      const found = term(cursor)
      if (found === undefined) return undefined
      terms.push(found)
      cursor.skipBlanks()
    } while (cursor.eat(','))
    return terms
  })
}

function term(cursor: Cursor): OrderTerm | undefined {
  const of = related(cursor) ?? plain(cursor)
  if (of === undefined || of === false) return undefined
  let direction: OrderTerm['direction']
  let nulls: OrderTerm['nulls']
  if (cursor.comes('.asc') || cursor.comes('.desc')) {
    direction = cursor.comes('.asc') ? 'asc' : 'desc'
    cursor.at += direction.length + 1
  }
  if (cursor.comes('.nullsfirst') || cursor.comes('.nullslast')) {
    nulls = cursor.comes('.nullsfirst') ? 'first' : 'last'
    cursor.at += '.nulls'.length + nulls.length
  }
  if (cursor.isAtEnd || cursor.peek() === ',' || cursor.peek() === ' ') return { ...of, direction, nulls }
  for (const each of ['","', 'end of input']) cursor.expected(each)
  if (direction === undefined && nulls === undefined) {
    cursor.at += cursor.comes('.') ? 1 : 0
    for (const each of ['"asc"', '"desc"', '"nullsfirst"', '"nullslast"']) cursor.expected(each)
  }
  return undefined
}

function plain(cursor: Cursor): Pick<OrderTerm, 'field' | 'relation'> | undefined {
  const of = field(cursor)
  return of && { field: of, relation: undefined }
}

/** Undefined, and nothing read, where no parenthesis follows; false where it goes wrong behind it. */
function related(cursor: Cursor): Pick<OrderTerm, 'field' | 'relation'> | undefined | false {
  const start = cursor.at
  const relation = fieldName(cursor)
  if (relation !== undefined && cursor.eat('(')) {
    const of = field(cursor)
    return of !== undefined && cursor.eat(')') ? { field: of, relation } : false
  }
  cursor.at = start
  return undefined
}

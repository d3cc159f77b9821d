// Names, quoted texts and JSON paths, as they stand in every parameter: `col`, `"col.with.dots"`, `col->a->>0`.

import type { Cursor } from './cursor.ts'
import type { Field, JsonStep } from './syntax.ts'

const nameCharacter = /[\p{L}\p{Nd}_$ ]/u
/** Of a key within JSON, which is anything that does not go on with something else. */
const keyCharacter = /[^(\-:.,>)]/u
const fieldNameExpected = 'field name (* or [a..z0..9_$])'

/** A field's name; undefined where there is none. A dash is part of it unless it begins an arrow. */
export const fieldName = (cursor: Cursor): string | undefined =>
  cursor.comes('"') ? quoted(cursor) : nameOf(cursor, nameCharacter)

function nameOf(cursor: Cursor, allowed: RegExp): string | undefined {
  const start = cursor.at
  for (;;) {
    const character = String.fromCodePoint(cursor.text.codePointAt(cursor.at) ?? 0)
    const isDash = character === '-' && cursor.text.charAt(cursor.at + 1) !== '>' && cursor.at > start
    if (cursor.isAtEnd || !(isDash || allowed.test(character))) break
    cursor.at += character.length
  }
  const name = cursor.text.slice(start, cursor.at).trim()
  if (name !== '') return name
  cursor.at = start
  cursor.expected(fieldNameExpected)
  return undefined
}

/** `"…"`, with `\` before a quote or itself; undefined, and nothing read, where it has no end. */
export function quoted(cursor: Cursor): string | undefined {
  const start = cursor.at
  if (!cursor.eat('"')) return undefined
  let text = ''
  while (!cursor.isAtEnd) {
    const character = cursor.peek()
    if (character === '"') {
      cursor.at += 1
      return text
    }
    if (character === '\\') cursor.at += 1
    text += cursor.peek()
    cursor.at += 1
  }
  cursor.expected('"\\""')
  cursor.at = start
  return undefined
}

/** Words that begin with a letter: what stands in a statement as it came can be a type's name and nothing else. */
export const typePattern = '[\\p{L}_][\\p{L}\\p{Nd}_$]*(?: [\\p{L}_][\\p{L}\\p{Nd}_$]*)*'

/** Of a cast: `int`, `character varying`, `my_type`. */
export function typeName(cursor: Cursor): string | undefined {
  const match = new RegExp(typePattern, 'uy')
  match.lastIndex = cursor.at
  const name = match.exec(cursor.text)?.[0]
  if (name === undefined) {
    cursor.expected('a type')
    return undefined
  }
  cursor.at += name.length
  return name
}

export function field(cursor: Cursor): Field | undefined {
  const name = fieldName(cursor)
  if (name === undefined) return undefined
  const path = jsonPath(cursor)
  return path && { name, path }
}

/** Empty where there is none; undefined where one is begun and goes wrong. */
export function jsonPath(cursor: Cursor): JsonStep[] | undefined {
  const path: JsonStep[] = []
  while (cursor.comes('->')) {
    const arrow = cursor.comes('->>') ? '->>' : '->'
    cursor.at += arrow.length
    const operand = jsonIndex(cursor) ?? jsonKey(cursor)
    if (operand === undefined) return undefined
    path.push({ arrow, operand })
  }
  return path
}

/** A number is an index where nothing of a key follows. */
function jsonIndex(cursor: Cursor): JsonStep['operand'] | undefined {
  const match = /-?\d+(?=$|->|::|[.,)])/y
  match.lastIndex = cursor.at
  const [digits] = match.exec(cursor.text) ?? []
  if (digits === undefined || digits.length > 10) return undefined
  cursor.at += digits.length
  return { kind: 'index', index: Number(digits) }
}

function jsonKey(cursor: Cursor): JsonStep['operand'] | undefined {
  const key = cursor.comes('"') ? quoted(cursor) : nameOf(cursor, keyCharacter)
  return key === undefined ? undefined : { kind: 'key', key }
}

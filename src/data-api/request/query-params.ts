// The query string, sorted into what it says of rows. https://docs.postgrest.org/en/v14/references/api/url_grammar.html

import { DataApiError } from '../errors.ts'
import { parseAll } from './cursor.ts'
import { hasOperator, parseFilter, parseLogic, parsePath } from './filters.ts'
import { fieldName } from './names.ts'
import { parseOrder } from './order.ts'
import { parseSelect } from './select.ts'
import type { At, EmbedPath, Filter, QueryParams, RowRange } from './syntax.ts'

type Pairs = readonly (readonly [key: string, value: string])[]

const mostParameters = 1000
const endings = new Set(['order', 'limit', 'offset', 'and', 'or'])

/** `callsByQuery`: keys without a dot whose values have no operator are arguments of a function. Throws PGRST100, PGRST103. */
export function parseQuery(search: string, callsByQuery: boolean): QueryParams {
  const pairs = pairsOf(search)
  const filters: At<Filter>[] = []
  const logic: QueryParams['logic'][number][] = []
  const order: QueryParams['order'][number][] = []
  const ranges = new Map<string, { at: EmbedPath; limit?: number; offset?: number }>()
  const callArguments: [string, string][] = []
  let select: string | undefined
  let columns: string | undefined
  let onConflict: string | undefined
  for (const [key, value] of pairs) {
    const ending = key.slice(key.lastIndexOf('.') + 1)
    if (key === 'select') select ??= value
    else if (key === 'columns') columns ??= value
    else if (key === 'on_conflict') onConflict ??= value
    else if (!endings.has(ending)) {
      if (callsByQuery && !key.includes('.') && !hasOperator(value)) callArguments.push([key, value])
      else filters.push(parseFilter(key, value))
    } else if (ending === 'and' || ending === 'or') logic.push(parseLogic(key, value))
    else {
      const at = embedOf(key)
      if (ending === 'order') order.push({ at, value: parseOrder(value) })
      else noteRange(ranges, at, ending as 'limit' | 'offset', value)
    }
  }
  return {
    select: parseSelect(select ?? '*'),
    filters,
    logic,
    order,
    ranges: [...ranges.values()].map(({ at, limit, offset = 0 }) => ({ at, value: { offset, limit } })),
    columns: columns === undefined ? undefined : parseNames(columns, 'columns parameter'),
    onConflict: onConflict === undefined ? undefined : parseNames(onConflict, 'on_conflict parameter'),
    callArguments,
    filterNames: filters.filter(({ at }) => at.length === 0).map(({ value }) => value.field.name),
    canonical: canonicalOf(pairs),
  }
}

const embedOf = (key: string): string[] => {
  const at = key.lastIndexOf('.')
  if (at < 0) return []
  const { at: before, field } = parsePath(key.slice(0, at))
  return [...before, field.name]
}

/** What is no number says nothing. */
function noteRange(
  ranges: Map<string, { at: EmbedPath; limit?: number; offset?: number }>,
  at: EmbedPath,
  what: 'limit' | 'offset',
  value: string,
): void {
  if (!/^-?\d{1,18}$/.test(value)) return
  const number = Number(value)
  if (what === 'limit' && number < 0) {
    throw new DataApiError({
      code: 'PGRST103',
      message: 'Requested range not satisfiable',
      details: 'Limit should be greater than or equal to zero.',
    })
  }
  const key = JSON.stringify(at)
  const range = ranges.get(key) ?? { at }
  ranges.set(key, { ...range, [what]: Math.max(0, number) })
}

export function rangeAt(query: QueryParams, at: EmbedPath): RowRange {
  const key = JSON.stringify(at)
  return query.ranges.find((range) => JSON.stringify(range.at) === key)?.value ?? { offset: 0, limit: undefined }
}

function parseNames(text: string, what: string): string[] {
  if (text === '') return []
  return parseAll(text, what, (cursor) => {
    const names: string[] = []
    do {
      cursor.skipBlanks()
      const name = fieldName(cursor)
      if (name === undefined) return undefined
      names.push(name)
    } while (cursor.eat(','))
    return names
  })
}

/** Decoded, in their order; `+` is a blank. What is no UTF-8 is kept as far as it goes. */
export function pairsOf(search: string): Pairs {
  const text = search.startsWith('?') ? search.slice(1) : search
  if (text === '') return []
  const pieces = text.split('&')
  if (pieces.length > mostParameters)
    throw new DataApiError({ code: 'PGRST100', message: `a query has at most ${mostParameters} parameters` })
  return pieces
    .filter((piece) => piece !== '')
    .map((piece) => {
      const at = piece.indexOf('=')
      return at < 0 ? [decode(piece), ''] : [decode(piece.slice(0, at)), decode(piece.slice(at + 1))]
    })
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    // Bytes that are no text: each one that can be read, as it can be read.
    return Buffer.from(
      spaced.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    ).toString('utf8')
  }
}

function canonicalOf(pairs: Pairs): string {
  return pairs
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .join('&')
}

const encode = (text: string): string =>
  encodeURIComponent(text.isWellFormed() ? text : text.toWellFormed()).replaceAll(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  )

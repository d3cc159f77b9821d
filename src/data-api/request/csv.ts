// CSV as clients send it (RFC 4180): a header, quoted texts that may hold anything, `NULL` for null where it is not quoted.

import { DataApiError } from '../errors.ts'

export function parseCsv(text: string): { header: string[]; rows: (string | null)[][] } {
  const lines = linesOf(text)
  const [head, ...rest] = lines
  if (head === undefined) throw new DataApiError({ code: 'PGRST102', message: 'Empty or invalid CSV' })
  const header = head.map(({ text: name }) => name)
  const rows = rest.map((line) => {
    if (line.length !== header.length)
      throw new DataApiError({ code: 'PGRST102', message: 'All lines must have same number of fields' })
    return line.map(({ text: value, isQuoted }) => (value === 'NULL' && !isQuoted ? null : value))
  })
  return { header, rows }
}

type CsvField = { text: string; isQuoted: boolean }

function linesOf(text: string): CsvField[][] {
  const lines: CsvField[][] = []
  let line: CsvField[] = []
  let at = 0
  while (at < text.length) {
    const [found, next] = fieldAt(text, at)
    line.push(found)
    at = next
    if (text.charAt(at) === ',') {
      at += 1
      if (at === text.length) line.push({ text: '', isQuoted: false })
      continue
    }
    lines.push(line)
    line = []
    if (text.charAt(at) === '\r') at += 1
    if (text.charAt(at) === '\n') at += 1
  }
  if (line.length > 0) lines.push(line)
  // Nothing but a line's end is no row.
  return lines.filter((each) => each.length > 1 || each[0]?.isQuoted === true || each[0]?.text !== '')
}

function fieldAt(text: string, start: number): [CsvField, number] {
  if (text.charAt(start) !== '"') {
    let end = start
    while (end < text.length && !',\r\n'.includes(text.charAt(end))) end += 1
    return [{ text: text.slice(start, end), isQuoted: false }, end]
  }
  let value = ''
  let at = start + 1
  for (;;) {
    const end = text.indexOf('"', at)
    if (end < 0) throw new DataApiError({ code: 'PGRST102', message: 'Empty or invalid CSV' })
    value += text.slice(at, end)
    at = end + 1
    if (text.charAt(at) !== '"') return [{ text: value, isQuoted: true }, Math.max(at, nextEnd(text, at))]
    value += '"'
    at += 1
  }
}

/** What stands between a closing quote and the field's end says nothing. */
function nextEnd(text: string, start: number): number {
  let end = start
  while (end < text.length && !',\r\n'.includes(text.charAt(end))) end += 1
  return end
}

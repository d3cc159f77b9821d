// Where Parse, Bind, Describe and Close name a prepared statement.

const headerLength = 5
const bind = 'B'.charCodeAt(0)
const parse = 'P'.charCodeAt(0)
const ofStatement = 'S'.charCodeAt(0)

/** The name lies from `start` up to its NUL at `end`; latin1, so that any bytes are a name. */
export type StatementReference = { name: string; start: number; end: number }

/**
 * Of the message at `at`, as far as it is there (`there`: where what is there of it ends). `none`: of the unnamed statement, or of a portal.
 * `incomplete`: the name is not there yet.
 */
export function readStatementReference(
  bytes: Buffer,
  at: number,
  there: number,
): StatementReference | 'none' | 'incomplete' {
  const type = bytes[at]
  let start = at + headerLength
  if (type === bind) {
    const portalEnd = bytes.indexOf(0, start)
    if (portalEnd < 0 || portalEnd >= there) return 'incomplete'
    start = portalEnd + 1
  } else if (type !== parse) {
    if (start >= there) return 'incomplete'
    if (bytes[start] !== ofStatement) return 'none'
    start++
  }
  const end = bytes.indexOf(0, start)
  if (end < 0 || end >= there) return 'incomplete'
  return end === start ? 'none' : { name: bytes.toString('latin1', start, end), start, end }
}

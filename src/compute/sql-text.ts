// Names and values inside statements that take no parameters (`CREATE ROLE`, `ALTER DATABASE` …).

import { longestNameBytes } from '../model/role.ts'
import { AppError } from '../model/errors.ts'

/** Throws `bad_request` for what cannot be a name: Postgres would cut a longer one short and so act on another object. */
export function sqlName(name: string): string {
  if (name === '' || name.includes('\0') || Buffer.byteLength(name) > longestNameBytes || !name.isWellFormed()) {
    throw new AppError('bad_request', `a name must have 1 to ${longestNameBytes} bytes of valid text`)
  }
  return `"${name.replaceAll('"', '""')}"`
}

export function sqlLiteral(value: string): string {
  if (value.includes('\0')) throw new AppError('bad_request', 'a value must not hold a zero byte')
  const quoted = value.replaceAll("'", "''")
  // The E form reads the same whatever `standard_conforming_strings` says.
  return quoted.includes('\\') ? `E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`
}

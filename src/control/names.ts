// Rules for the names that callers choose.

import { AppError } from '../model/errors.ts'
import { isReservedDatabaseName } from '../model/database.ts'
import { isReservedRoleName, longestNameBytes } from '../model/role.ts'

function assertPostgresName(name: string, what: string): void {
  if (name === '') throw new AppError('bad_request', `${what} name must not be empty`)
  if (name.includes('\0')) throw new AppError('bad_request', `${what} name must not contain a zero byte`)
  if (!name.isWellFormed()) throw new AppError('bad_request', `${what} name is not valid Unicode`)
  const bytes = new TextEncoder().encode(name).length
  if (bytes > longestNameBytes) {
    throw new AppError('bad_request', `${what} name is ${bytes} bytes long, at most ${longestNameBytes} are allowed`)
  }
}

export function assertRoleName(name: string): void {
  assertPostgresName(name, 'role')
  if (isReservedRoleName(name))
    throw new AppError('bad_request', `role name ${JSON.stringify(name)} is reserved; choose another`)
}

export function assertDatabaseName(name: string): void {
  assertPostgresName(name, 'database')
  if (isReservedDatabaseName(name)) {
    throw new AppError('bad_request', `database name ${JSON.stringify(name)} is reserved; choose another`)
  }
}

/** Of projects, branches and endpoints: shown to people, stored as text. */
export function assertDisplayName(name: string, what: string, longest = 256): void {
  if (name.trim() === '') throw new AppError('bad_request', `${what} name must not be empty`)
  if (name.includes('\0') || !name.isWellFormed()) throw new AppError('bad_request', `${what} name is not valid text`)
  if (Array.from(name).length > longest)
    throw new AppError('bad_request', `${what} name must not be longer than ${longest} characters`)
}

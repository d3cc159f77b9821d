// What no part of a request may contain, whatever its schema says: characters that Postgres cannot store, and nesting that would
// exhaust the stack of whoever walks or prints the value.

import { AppError } from '../model/errors.ts'

const deepestNesting = 32

export function assertCleanText(text: string, where: string): void {
  if (text.includes('\0')) throw new AppError('bad_request', `invalid request: ${where} contains a null character`)
  if (!text.isWellFormed()) throw new AppError('bad_request', `invalid request: ${where} is not valid Unicode`)
}

export function assertCleanJson(value: unknown, depth = 0): void {
  if (typeof value === 'string') return assertCleanText(value, 'the body')
  if (typeof value !== 'object' || value === null) return
  if (depth === deepestNesting)
    throw new AppError('bad_request', `invalid request: the body is nested deeper than ${deepestNesting} levels`)
  for (const [key, child] of Object.entries(value)) {
    assertCleanText(key, 'the body')
    assertCleanJson(child, depth + 1)
  }
}

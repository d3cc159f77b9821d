// Cursors: to clients opaque texts, to us the place where the next page begins. A text that we did not make is refused with 400.

import type { BranchSort } from '../control/params.ts'
import { AppError } from '../model/errors.ts'
import { isTimestamp } from './contract/formats.ts'

export type BranchCursor = { branchId: string; value: string; sortBy: BranchSort; descending: boolean }
export type OperationCursor = { createdAt: string; id: string }

const idPattern = /^[a-z0-9-]{1,60}$/
const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const longestCursor = 4096

/** The id of the last project, as it is: Neon's clients make and read it. */
export function parseProjectCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined
  if (!idPattern.test(cursor)) throw invalidCursor()
  return cursor
}

/** Carries its order along, so that a client may send the cursor alone. */
export function formatBranchCursor(cursor: BranchCursor): string {
  return encode({
    branch_id: cursor.branchId,
    sort_by: cursor.sortBy,
    sort_by_value: cursor.value,
    sort_order: cursor.descending ? 'DESC' : 'ASC',
  })
}

export function parseBranchCursor(cursor: string | undefined): BranchCursor | undefined {
  if (cursor === undefined) return undefined
  const { branch_id: branchId, sort_by: sortBy, sort_by_value: value, sort_order: order } = decode(cursor)
  if (sortBy !== 'name' && sortBy !== 'created_at' && sortBy !== 'updated_at') throw invalidCursor()
  if (order !== 'ASC' && order !== 'DESC') throw invalidCursor()
  if (!isId(branchId) || !isSortValue(sortBy, value)) throw invalidCursor()
  return { branchId, value, sortBy, descending: order === 'DESC' }
}

export function formatBranchHistoryCursor({ projectId, branchId }: { projectId: string; branchId: string }): string {
  return encode({ project_id: projectId, branch_id: branchId })
}

export function parseBranchHistoryCursor(
  cursor: string | undefined,
): { projectId: string; branchId: string } | undefined {
  if (cursor === undefined) return undefined
  const { project_id: projectId, branch_id: branchId } = decode(cursor)
  if (!isId(projectId) || !isId(branchId)) throw invalidCursor()
  return { projectId, branchId }
}

export function formatOperationCursor(cursor: OperationCursor): string {
  return encode({ created_at: cursor.createdAt, id: cursor.id })
}

export function parseOperationCursor(cursor: string | undefined): OperationCursor | undefined {
  if (cursor === undefined) return undefined
  const { created_at: createdAt, id } = decode(cursor)
  if (typeof createdAt !== 'string' || !isMoment(createdAt) || !isUuid(id)) throw invalidCursor()
  return { createdAt, id }
}

export function formatEventCursor(id: number): string {
  return encode({ event_id: String(id) })
}

export function parseEventCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined
  const { event_id: id } = decode(cursor)
  if (typeof id !== 'string' || !/^[1-9]\d{0,14}$/.test(id)) throw invalidCursor()
  return Number(id)
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && idPattern.test(value)
}

function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuidPattern.test(value)
}

function isSortValue(sortBy: BranchSort, value: unknown): value is string {
  if (typeof value !== 'string') return false
  return sortBy === 'name'
    ? Array.from(value).length <= 256 && value.isWellFormed() && !value.includes('\0')
    : isMoment(value)
}

/** RFC 3339, or as Postgres prints it (`2026-01-31 10:00:00.123456+00`). */
function isMoment(text: string): boolean {
  return isTimestamp(text.replace(/([+-]\d{2})$/, '$1:00'))
}

function encode(fields: Record<string, string>): string {
  return Buffer.from(JSON.stringify(fields)).toString('base64url')
}

function decode(cursor: string): Record<string, unknown> {
  if (cursor.length > longestCursor) throw invalidCursor()
  try {
    const fields: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (typeof fields === 'object' && fields !== null) return fields as Record<string, unknown>
  } catch {
    // Falls through: what is not JSON was not made by us.
  }
  throw invalidCursor()
}

function invalidCursor(): AppError {
  return new AppError(
    'bad_request',
    'invalid request: decode params: query: invalid: cursor (not a cursor of this list)',
  )
}

// Who did what in an organization.

import type { AuditEntry } from '../model/audit.ts'
import { AppError } from '../model/errors.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

const defaultPageSize = 100

export const auditLog = {
  async listAuditLog({ control, caller, params, query }: ApiRequest<{ limit?: number; cursor?: string }>) {
    const limit = query.limit ?? defaultPageSize
    const { entries, next } = await control.audit.list(caller, params.org_id, {
      limit,
      before: parseCursor(query.cursor),
    })
    return ok({
      entries: entries.map(entryView),
      pagination: next === undefined ? {} : { next: String(next) },
    })
  },
} satisfies Handlers

function parseCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined
  const id = Number(cursor)
  if (/^\d{1,15}$/.test(cursor) && Number.isSafeInteger(id)) return id
  throw new AppError('bad_request', 'invalid request: cursor is none that this list gave; leave it out to begin anew')
}

function entryView(entry: AuditEntry) {
  return {
    id: entry.id,
    at: entry.at.toISOString(),
    actor: {
      kind: entry.actorKind,
      user_id: entry.userId ?? null,
      user_email: entry.userEmail ?? null,
      key_id: entry.keyId ?? null,
      key_name: entry.keyName ?? null,
    },
    operation_id: entry.operationId,
    resources: entry.resources,
    status: entry.status,
    request_id: entry.requestId,
    remote_address: entry.peer,
  }
}

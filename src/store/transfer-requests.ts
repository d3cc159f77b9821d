// Projects on offer to other organizations, by the hash of what opens the offer.

import type { Caller } from '../model/caller.ts'
import type { ProjectId } from '../model/ids.ts'
import type { Sql } from './database.ts'

export type StoredTransferRequest = { projectId: ProjectId; offeredBy: Caller }

export async function insertTransferRequest(
  sql: Sql,
  request: StoredTransferRequest & { idHash: Buffer; ttlSeconds: number },
): Promise<{ createdAt: Date; expiresAt: Date }> {
  const [row] = await sql.query<{ created_at: Date; expires_at: Date }>(
    `insert into transfer_requests (id_hash, project_id, offered_by, expires_at)
     values ($1, $2, $3, now() + make_interval(secs => $4)) returning created_at, expires_at`,
    [request.idHash, request.projectId, JSON.stringify(request.offeredBy), request.ttlSeconds],
  )
  return { createdAt: row?.created_at ?? new Date(), expiresAt: row?.expires_at ?? new Date() }
}

/** Open ones. */
export async function countTransferRequests(sql: Sql, projectId: ProjectId): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    'select count(*) from transfer_requests where project_id = $1 and expires_at > now()',
    [projectId],
  )
  return row?.count ?? 0
}

/** Open, and of a project by this id; who takes the project holds its row first. */
export async function findTransferRequest(
  sql: Sql,
  projectId: string,
  idHash: Buffer,
): Promise<StoredTransferRequest | undefined> {
  const [row] = await sql.query<{ project_id: ProjectId; offered_by: Caller }>(
    'select project_id, offered_by from transfer_requests where id_hash = $1 and project_id = $2 and expires_at > now()',
    [idHash, projectId],
  )
  return row && { projectId: row.project_id, offeredBy: row.offered_by }
}

/** Returns how many of them were open. */
export async function deleteTransferRequestsOf(sql: Sql, projectIds: readonly ProjectId[]): Promise<number> {
  const rows = await sql.query<{ open: boolean }>(
    'delete from transfer_requests where project_id = any($1) returning expires_at > now() as open',
    [projectIds],
  )
  return rows.filter(({ open }) => open).length
}

export async function deleteExpiredTransferRequests(sql: Sql): Promise<void> {
  await sql.query('delete from transfer_requests where expires_at < now()')
}

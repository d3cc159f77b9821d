import type { PgMajor } from '../model/compute.ts'
import type { BranchId, ImageId, ProjectId, SnapshotId } from '../model/ids.ts'
import { formatLsn, type Lsn } from '../model/lsn.ts'
import type { Snapshot, SnapshotRole, SnapshotState } from '../model/snapshot.ts'
import type { Row, Sql } from './database.ts'
import { toLsn } from './images.ts'

type StoredRole = Omit<SnapshotRole, 'verifier' | 'encryptedPassword'> & {
  verifier: string | null
  encryptedPassword: string | null
}

const toSnapshot = (row: Row): Snapshot => ({
  id: row['id'] as SnapshotId,
  projectId: row['project_id'] as ProjectId,
  sourceBranchId: row['source_branch_id'] as BranchId,
  backingBranchId: row['backing_branch_id'] as BranchId,
  state: row['state'] as SnapshotState,
  name: row['name'] as string,
  manual: row['manual'] as boolean,
  metadata: row['metadata'] as Record<string, string>,
  requestedLsn: toLsn(row['requested_lsn']),
  requestedAt: (row['requested_at'] as Date | null) ?? undefined,
  imageId: (row['image_id'] as ImageId | null) ?? undefined,
  pointLsn: toLsn(row['point_lsn']),
  pointAt: row['point_at'] as Date,
  pgMajor: row['pg_major'] as PgMajor,
  uidOffset: row['uid_offset'] as number,
  serviceKeyId: row['service_key_id'] as string,
  hasSubscriptions: row['has_subscriptions'] as boolean,
  roles: (row['roles'] as StoredRole[]).map((role) => ({
    ...role,
    verifier: role.verifier ?? undefined,
    encryptedPassword: role.encryptedPassword === null ? undefined : Buffer.from(role.encryptedPassword, 'base64'),
  })),
  databases: row['databases'] as Snapshot['databases'],
  walId: row['wal_id'] as string,
  fullSizeBytes: (row['full_size_bytes'] as number | null) ?? undefined,
  createdAt: row['created_at'] as Date,
  expiresAt: (row['expires_at'] as Date | null) ?? undefined,
})

export type NewSnapshot = Omit<Snapshot, 'state' | 'imageId' | 'createdAt'>

export async function insertSnapshot(sql: Sql, cell: string, snapshot: NewSnapshot): Promise<Snapshot> {
  const roles: StoredRole[] = snapshot.roles.map((role) => ({
    ...role,
    verifier: role.verifier ?? null,
    encryptedPassword: role.encryptedPassword ? Buffer.from(role.encryptedPassword).toString('base64') : null,
  }))
  const [row] = await sql.query(
    `insert into snapshots (id, project_id, cell, source_branch_id, backing_branch_id, state, name, manual, metadata, requested_lsn, requested_at,
                            point_lsn, point_at, pg_major, uid_offset, service_key_id, roles, databases, wal_id, full_size_bytes, expires_at,
                            has_subscriptions)
     values ($1, $2, $3, $4, $5, 'making', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) returning *`,
    [
      snapshot.id,
      snapshot.projectId,
      cell,
      snapshot.sourceBranchId,
      snapshot.backingBranchId,
      snapshot.name,
      snapshot.manual,
      JSON.stringify(snapshot.metadata),
      snapshot.requestedLsn === undefined ? null : formatLsn(snapshot.requestedLsn),
      snapshot.requestedAt ?? null,
      snapshot.pointLsn === undefined ? null : formatLsn(snapshot.pointLsn),
      snapshot.pointAt,
      snapshot.pgMajor,
      snapshot.uidOffset,
      snapshot.serviceKeyId,
      JSON.stringify(roles),
      JSON.stringify(snapshot.databases),
      snapshot.walId,
      snapshot.fullSizeBytes ?? null,
      snapshot.expiresAt ?? null,
      snapshot.hasSubscriptions,
    ],
  )
  return toSnapshot(row ?? {})
}

export async function getSnapshot(sql: Sql, projectId: string, id: string): Promise<Snapshot | undefined> {
  const [row] = await sql.query(`select * from snapshots where project_id = $1 and id = $2 and state <> 'deleting'`, [
    projectId,
    id,
  ])
  return row && toSnapshot(row)
}

export async function getSnapshotEvenDeleting(sql: Sql, id: string): Promise<Snapshot | undefined> {
  const [row] = await sql.query('select * from snapshots where id = $1', [id])
  return row && toSnapshot(row)
}

/** Newest first. */
export async function listSnapshots(sql: Sql, projectId: string): Promise<Snapshot[]> {
  const rows = await sql.query(
    `select * from snapshots where project_id = $1 and state <> 'deleting' order by created_at desc, id desc`,
    [projectId],
  )
  return rows.map(toSnapshot)
}

export async function countManualSnapshots(sql: Sql, projectId: string): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    `select count(*)::int as count from snapshots where project_id = $1 and manual and state <> 'deleting'`,
    [projectId],
  )
  return row?.count ?? 0
}

/** The image it will stand on, before the log is copied: from here on nobody removes that image. */
export async function setSnapshotPoint(sql: Sql, id: SnapshotId, point: { imageId: ImageId; lsn: Lsn }): Promise<void> {
  await sql.query('update snapshots set image_id = $2, point_lsn = $3 where id = $1', [
    id,
    point.imageId,
    formatLsn(point.lsn),
  ])
}

export async function setSnapshotReady(sql: Sql, id: SnapshotId): Promise<void> {
  await sql.query(`update snapshots set state = 'ready' where id = $1 and state = 'making'`, [id])
}

/** `expiresAt`: null clears. */
export async function updateSnapshot(
  sql: Sql,
  id: SnapshotId,
  change: {
    name?: string | undefined
    expiresAt?: Date | null | undefined
    metadata?: Record<string, string> | undefined
  },
): Promise<Snapshot> {
  const [row] = await sql.query(
    `update snapshots set name = coalesce($2, name), expires_at = case when $3 then $4 else expires_at end, metadata = coalesce($5, metadata)
      where id = $1 returning *`,
    [
      id,
      change.name ?? null,
      change.expiresAt !== undefined,
      change.expiresAt ?? null,
      change.metadata === undefined ? null : JSON.stringify(change.metadata),
    ],
  )
  return toSnapshot(row ?? {})
}

/** Not listed any more; its files go in the background. */
export async function setSnapshotDeleting(sql: Sql, id: SnapshotId): Promise<void> {
  await sql.query(`update snapshots set state = 'deleting' where id = $1`, [id])
}

/** Those to be removed now: deleted ones, those whose time is over, and those of projects on their way out. None whose project has a chain at work. */
export async function listSnapshotsToRemove(sql: Sql, cell: string): Promise<Snapshot[]> {
  const rows = await sql.query(
    `select * from snapshots s where s.cell = $1
        and (s.state = 'deleting' or s.expires_at <= now()
             or exists (select from projects p where p.id = s.project_id and p.purging_at is not null))
        and not exists (select from chains c where c.project_id = s.project_id and c.state in ('running', 'undoing'))
      order by s.created_at limit 100`,
    [cell],
  )
  return rows.map(toSnapshot)
}

export async function listSnapshotWalIds(sql: Sql, cell: string): Promise<string[]> {
  return (await sql.query<{ wal_id: string }>('select wal_id from snapshots where cell = $1', [cell])).map(
    (row) => row.wal_id,
  )
}

export async function deleteSnapshotRow(sql: Sql, id: SnapshotId): Promise<void> {
  await sql.query('delete from snapshots where id = $1', [id])
}

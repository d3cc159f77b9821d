// Who did what.

import type { AuditEntry, AuditRecord } from '../model/audit.ts'
import type { OrganizationId, UserId } from '../model/ids.ts'
import type { Row, Sql, Store } from './database.ts'

const toEntry = (row: Row): AuditEntry => ({
  id: row['id'] as number,
  at: row['at'] as Date,
  actorKind: row['actor_kind'] as AuditEntry['actorKind'],
  userId: (row['user_id'] as UserId | null) ?? undefined,
  userEmail: (row['user_email'] as string | null) ?? undefined,
  keyId: (row['key_id'] as number | null) ?? undefined,
  keyName: (row['key_name'] as string | null) ?? undefined,
  operationId: row['operation_id'] as string,
  resources: row['resources'] as Record<string, string>,
  status: row['status'] as number,
  requestId: row['request_id'] as string,
  peer: row['peer'] as string,
})

function toJson({ at, actor, orgId, claimedOrgId, operationId, resources, status, requestId, peer }: AuditRecord) {
  return {
    at: at.toISOString(),
    org_id: orgId ?? null,
    claimed_org_id: claimedOrgId ?? null,
    actor_kind: actor.kind,
    user_id: actor.kind === 'operator' ? null : actor.userId,
    key_id: actor.kind === 'operator' ? null : actor.keyId,
    operation_id: operationId,
    resources,
    status,
    request_id: requestId,
    peer,
  }
}

/** All in one statement, in their order. An organization that a call only named counts where its caller is a member of it. */
export async function insertAuditRecords(store: Store, records: readonly AuditRecord[]): Promise<void> {
  await store.quick(
    `insert into audit_log (at, org_id, actor_kind, user_id, key_id, key_name, operation_id, resources, status, request_id, peer)
     select r.at,
            coalesce(r.org_id, (
              select m.org_id from members m
               where m.user_id = r.user_id and r.claimed_org_id in ('default', m.org_id)
               order by (m.org_id = (select default_org_id from users u where u.id = r.user_id)) desc nulls last, m.joined_at, m.org_id
               limit 1)),
            r.actor_kind, r.user_id, r.key_id, (select k.name from api_keys k where k.id = r.key_id),
            r.operation_id, r.resources, r.status, r.request_id, r.peer
       from rows from (jsonb_to_recordset($1::jsonb) as (at timestamptz, org_id text, claimed_org_id text, actor_kind text,
            user_id uuid, key_id bigint, operation_id text, resources jsonb, status integer, request_id text, peer text))
            with ordinality as r (at, org_id, claimed_org_id, actor_kind, user_id, key_id, operation_id, resources, status, request_id, peer, n)
      order by r.n`,
    [JSON.stringify(records.map(toJson))],
  )
}

export async function listAuditEntries(
  sql: Sql,
  orgId: OrganizationId,
  query: { before: number | undefined; limit: number },
): Promise<AuditEntry[]> {
  const rows = await sql.query(
    `select a.*, u.email as user_email from audit_log a left join users u on u.id = a.user_id
      where a.org_id = $1 and ($2::bigint is null or a.id < $2) order by a.id desc limit $3`,
    [orgId, query.before ?? null, query.limit],
  )
  return rows.map(toEntry)
}

const mostDeletedAtOnce = 10_000

/** Some at a time, so that no statement takes long: gives how many went, and whether there may be more. */
export async function deleteAuditEntriesBefore(sql: Sql, moment: Date): Promise<{ deleted: number; more: boolean }> {
  const rows = await sql.query(
    'delete from audit_log where id in (select id from audit_log where at < $1 order by at limit $2) returning id',
    [moment, mostDeletedAtOnce],
  )
  return { deleted: rows.length, more: rows.length === mostDeletedAtOnce }
}

const trimTimeoutMs = 600_000

/** Leaves the newest of each organization, and of what belongs to none. */
export async function trimAuditLog(store: Store, mostPerOrganization: number): Promise<number> {
  return await store.transaction(
    async (sql) => {
      const rows = await sql.query<{ org_id: string | null; newest_too_many: number }>(
        `select o.id as org_id, a.id as newest_too_many
           from (select id from organizations union all select null) o
           cross join lateral (
             select id from audit_log where org_id is not distinct from o.id order by id desc offset $1 limit 1) a`,
        [mostPerOrganization],
      )
      let deleted = 0
      for (const { org_id: orgId, newest_too_many: last } of rows) {
        const gone = await sql.query(
          'delete from audit_log where id <= $2 and (org_id = $1 or ($1::text is null and org_id is null)) returning id',
          [orgId, last],
        )
        deleted += gone.length
      }
      return deleted
    },
    { quick: true, statementTimeoutMs: trimTimeoutMs },
  )
}

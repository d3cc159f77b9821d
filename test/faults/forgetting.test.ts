// What is remembered for a while only: revoked keys and permissions, and the audit log, which no tenant can fill without end.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ensureFirstUser } from '../../src/control/accounts.ts'
import { forgetOldAuditEntries } from '../../src/control/audit-log.ts'
import { forgetRevoked } from '../../src/control/reconcilers/forget-revoked.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import type { AuditRecord } from '../../src/model/audit.ts'
import type { User } from '../../src/model/caller.ts'
import type { OrganizationId } from '../../src/model/ids.ts'
import { testPassword, testUser, TestPostgres } from '../../src/proxy/test-support/postgres.ts'
import { insertAuditRecords } from '../../src/store/audit-log.ts'
import { migrate, Store } from '../../src/store/database.ts'
import { listOrganizationsOf } from '../../src/store/organizations.ts'

const day = 86_400_000

describe('a control database', () => {
  let postgres: TestPostgres
  let store: Store
  let user: User
  let orgIds: OrganizationId[]

  before(async () => {
    postgres = await TestPostgres.start()
    store = new Store({
      connection: {
        host: postgres.socketDir,
        port: 5432,
        user: testUser,
        password: testPassword,
        database: 'postgres',
      },
      maxConnections: 4,
      prepares: true,
      logger: silentLogger,
    })
    await migrate(store, silentLogger)
    user = await ensureFirstUser(store, 'napi_first')
    orgIds = (await listOrganizationsOf(store, user.id)).map(({ id }) => id)
  })
  after(async () => {
    await store?.close()
    await postgres?.[Symbol.asyncDispose]()
  })

  const record = (requestId: string, orgId: OrganizationId | undefined, daysAgo = 0): AuditRecord => ({
    at: new Date(Date.now() - daysAgo * day),
    actor: { kind: 'user', userId: user.id, keyId: 1 },
    orgId,
    operationId: 'updateProject',
    resources: { project_id: 'p' },
    status: 200,
    requestId,
    peer: '',
  })
  const left = async (): Promise<string[]> =>
    (await store.query<{ request_id: string }>('select request_id from audit_log order by id')).map(
      (row) => row.request_id,
    )

  test('forgets what was done more than 90 days ago', async () => {
    const [first] = orgIds
    await insertAuditRecords(store, [record('91', first, 91), record('89', first, 89), record('old', undefined, 400)])
    assert.deepEqual(await forgetOldAuditEntries({ store }), { deleted: 2 })
    assert.deepEqual(await left(), ['89'])
    assert.deepEqual(await forgetOldAuditEntries({ store }), { deleted: 0 })
  })

  test('keeps the newest of each organization, and of what belongs to none', async () => {
    const [first, second] = orgIds
    await insertAuditRecords(store, [
      ...['a', 'b', 'c'].map((id) => record(id, first)),
      ...['d', 'e'].map((id) => record(id, second)),
      ...['f', 'g', 'h'].map((id) => record(id, undefined)),
    ])
    assert.deepEqual(await forgetOldAuditEntries({ store }, 2), { deleted: 3 })
    assert.deepEqual(await left(), ['b', 'c', 'd', 'e', 'g', 'h'])
  })

  test('an organization that a call only named counts where its caller is a member of it', async () => {
    await store.query('delete from audit_log')
    const claims = [orgIds[1], 'default', 'org-of-nobody-00000000', undefined]
    await insertAuditRecords(
      store,
      claims.map((claimedOrgId) => ({ ...record('claim', undefined), claimedOrgId })),
    )
    const rows = await store.query<{ org_id: string | null; key_name: string }>(
      'select org_id, key_name from audit_log order by id',
    )
    assert.deepEqual(
      rows.map((row) => row.org_id),
      [orgIds[1], orgIds[0], null, null],
    )
    assert.ok(rows.every((row) => row.key_name === 'first key'))
  })

  test('forgets keys that were revoked long ago, and no others', async () => {
    const insert = (name: string, revokedDaysAgo: number | null): Promise<unknown> =>
      store.query(
        `insert into api_keys (kind, user_id, name, key_hash, revoked_at)
         values ('user', $1, $2, sha256($2::text::bytea), now() - make_interval(days => $3))`,
        [user.id, name, revokedDaysAgo],
      )
    await insert('live', null)
    await insert('recent', 89)
    await insert('long ago', 91)
    assert.deepEqual(await forgetRevoked({ store }), { keys: 1, permissions: 0 })
    const rows = await store.query<{ name: string }>('select name from api_keys order by id')
    assert.deepEqual(
      rows.map(({ name }) => name),
      ['first key', 'live', 'recent'],
    )
  })
})

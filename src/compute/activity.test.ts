import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '../model/errors.ts'
import { readActivity } from './activity.ts'
import { poll } from './process.ts'
import { TestComputes, testInstallations } from './test-computes.ts'

for (const [major, installation] of testInstallations) {
  test(`Postgres ${major} tells what keeps it awake, and pgrove's own sessions do not`, async () => {
    await using computes = await TestComputes.open(installation)
    const supervisor = computes.supervisor()
    const id = await computes.claimed(supervisor)
    const service = await computes.service(supervisor, id)
    await computes.service(supervisor, id)
    const idle = await readActivity(service)
    assert.deepEqual(
      { ...idle, autovacuumWorkers: 0, lastChangeAt: undefined },
      {
        activeQueries: 0,
        openTransactions: 0,
        walsenders: 0,
        subscriptionWorkers: 0,
        autovacuumWorkers: 0,
        sessions: 0,
        lastChangeAt: undefined,
      },
    )
    const [sleeper, transaction] = [await computes.tenant(id), await computes.tenant(id)]
    await transaction.query('BEGIN')
    await computes.tenant(id, { replication: 'database' } as object)
    const sleeping = sleeper.query('SELECT pg_sleep(60)')
    const busy = await poll(
      async () => {
        const activity = await readActivity(service)
        return activity.activeQueries === 1 && activity.openTransactions === 1 && activity.walsenders === 1
          ? activity
          : undefined
      },
      { everyMs: 10, timeoutMs: 10_000, timedOut: () => new AppError('internal', 'the activity was not seen') },
    )
    assert.ok(busy.lastChangeAt instanceof Date)
    assert.equal(busy.sessions, 2)
    const cancelled = assert.rejects(sleeping, { code: '57014' })
    await service.query(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'`)
    await cancelled
  })
}

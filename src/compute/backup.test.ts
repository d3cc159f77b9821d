import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import type { TimelineId } from '../model/ids.ts'
import { isAppError } from '../model/errors.ts'
import { backupInto, cloneExclusions, finishBackup, finishStoppedCopy } from './backup.ts'
import { readControlFile, syncDataDir } from './data-dir.ts'
import type { Supervisor } from './supervisor.ts'
import { TestComputes, testInstallations, testOwner } from './test-computes.ts'

for (const [major, installation] of testInstallations) {
  describe(`copies of Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
    })
    after(async () => await computes[Symbol.asyncDispose]())

    /** As a driver would: what is excluded is not there. */
    const copy = async (from: TimelineId, to: TimelineId): Promise<void> => {
      await computes.copy(computes.dir(from), computes.dir(to))
      for (const path of cloneExclusions) {
        const full = join(computes.dir(to), path)
        if (!path.endsWith('/')) await rm(full, { recursive: true, force: true })
        else for (const name of await readdir(full)) await rm(join(full, name), { recursive: true, force: true })
      }
    }
    const rows = async (client: pg.Client): Promise<number> =>
      (await client.query<{ n: number }>('SELECT count(*)::int AS n FROM t')).rows[0]?.n ?? -1

    test('a branch of a parent under load has every commit acknowledged before it', async () => {
      const parent = await computes.claimed(supervisor)
      await (await computes.tenant(parent)).query('CREATE TABLE t (a int, b text)')
      let acknowledged = 0
      const load = new AbortController()
      const writers = Array.from({ length: 4 }, async () => {
        const tenant = await computes.tenant(parent)
        while (!load.signal.aborted) {
          await tenant.query(`INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 10) g`)
          acknowledged += 10
        }
      })
      const child = computes.emptyTimeline()
      const service = await computes.service(supervisor, parent)
      let before = 0
      const backup = await backupInto(service, async () => {
        await copy(parent, child)
        before = acknowledged
      })
      const ended = acknowledged
      await finishBackup(computes.dir(child), computes.dir(parent), backup, testOwner)
      await finishBackup(computes.dir(child), computes.dir(parent), backup, testOwner)
      await service.end()
      load.abort()
      await Promise.all(writers)
      await supervisor.ensureRunning(computes.spec(child), { fresh: true })
      await supervisor.makeDurable(child, () => syncDataDir(computes.dir(child)))
      const tenant = await computes.tenant(child)
      const there = await rows(tenant)
      assert.ok(there >= before, `${there} of ${before} rows`)
      assert.ok(there <= ended + 40 + 10, `${there} rows, but ${ended} were written by its end`)
      await tenant.query('INSERT INTO t VALUES (0)')
      const { rows: modes } = await tenant.query<{ recovering: boolean }>('SELECT pg_is_in_recovery() AS recovering')
      assert.equal(modes[0]?.recovering, false)
      const [ours, theirs] = await Promise.all([
        readControlFile(computes.dir(child)),
        readControlFile(computes.dir(parent)),
      ])
      assert.equal(ours.tli, theirs.tli)
      assert.equal(ours.systemIdentifier, theirs.systemIdentifier)
    })

    test('a copy that fails ends the backup, and the next one works', async () => {
      const parent = await computes.claimed(supervisor)
      const service = await computes.service(supervisor, parent)
      await assert.rejects(
        backupInto(service, () => Promise.reject(new Error('disk full'))),
        /disk full/,
      )
      const backup = await backupInto(service, () => Promise.resolve())
      assert.ok(backup.stopLsn > backup.startLsn)
      assert.ok(backup.walSegments.length >= 1)
    })

    test('a parent whose slots are all taken can be copied too', async () => {
      const parent = await computes.claimed(supervisor, { pgSettings: { max_replication_slots: '4' } })
      const tenant = await computes.tenant(parent)
      for (let i = 0; i < 4; i++) await tenant.query(`SELECT pg_create_physical_replication_slot('taken_${i}', true)`)
      const child = computes.emptyTimeline()
      const service = await computes.service(supervisor, parent)
      const backup = await backupInto(service, () => copy(parent, child))
      await finishBackup(computes.dir(child), computes.dir(parent), backup, testOwner)
      await supervisor.ensureRunning(computes.spec(child))
      const inherited = await (await computes.tenant(child)).query('SELECT FROM pg_replication_slots')
      assert.equal(inherited.rowCount, 0)
    })

    test('a copy of a stopped parent starts, and starts clean', async () => {
      const parent = await computes.claimed(supervisor)
      await (await computes.tenant(parent)).query('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a')
      await supervisor.ensureStopped(parent, 'fast')
      const child = computes.emptyTimeline()
      await copy(parent, child)
      await finishStoppedCopy(computes.dir(child), computes.dir(parent), testOwner)
      assert.equal((await readdir(join(computes.dir(child), 'pg_wal'))).length, 1)
      const { state, checkpointLsn } = await readControlFile(computes.dir(child))
      assert.equal(state, 'shut_down')
      await supervisor.ensureRunning(computes.spec(child))
      assert.equal(await rows(await computes.tenant(child)), 1000)
      assert.ok((await readControlFile(computes.dir(child))).checkpointLsn >= checkpointLsn)
    })

    test('a copy of a parent that did not stop cleanly is not taken for one', async () => {
      const parent = await computes.claimed(supervisor)
      await supervisor.ensureStopped(parent, 'immediate')
      const child = computes.emptyTimeline()
      await copy(parent, child)
      await assert.rejects(finishStoppedCopy(computes.dir(child), computes.dir(parent), testOwner), (error) =>
        isAppError(error, 'storage_failed'),
      )
    })
  })
}

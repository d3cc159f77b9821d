import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import type { TimelineId } from '../model/ids.ts'
import { parseLsn, type Lsn } from '../model/lsn.ts'
import { readControlFile, walSegmentBytes } from './data-dir.ts'
import type { Supervisor } from './supervisor.ts'
import { TestComputes, testInstallations } from './test-computes.ts'
import { walPageBytes } from './wal-reader.ts'
import { writtenUntil } from './wal-position.ts'

/** Postgres names the place behind a page's header where the next record goes; ours is the page's beginning until one is there. */
function assertSamePlace(read: Lsn, asked: Lsn, what: string): void {
  const atPageStart = [24n, 40n].some((header) => read + header === asked && read % BigInt(walPageBytes) === 0n)
  assert.ok(read === asked || atPageStart, `${what}: read ${read}, Postgres says ${asked}`)
}

for (const [major, installation] of testInstallations) {
  describe(`the end of the log of Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
    })
    after(async () => await computes[Symbol.asyncDispose]())

    const readFrom = async (id: TimelineId, from?: Lsn): Promise<Lsn> => {
      const { tli, checkpointLsn } = await readControlFile(computes.dir(id))
      return await writtenUntil([join(computes.dir(id), 'pg_wal')], tli, from ?? checkpointLsn)
    }
    const askFor = async (client: pg.Client): Promise<Lsn> => {
      const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn')
      return parseLsn(rows[0]?.lsn ?? '') ?? (0n as Lsn)
    }

    test('is where Postgres says it is, whatever is written', async () => {
      const id = await computes.claimed(supervisor)
      const tenant = await computes.tenant(id)
      const service = await computes.service(supervisor, id)
      await tenant.query('create table t (a int, b text); alter table t alter column b set storage external')
      const start = await askFor(service)
      for (const [row, bytes] of [0, 10, 500, 8_000, 9_000, 100_000, 3 * walSegmentBytes, 1, 700_000, 30].entries()) {
        await tenant.query('insert into t values ($1, repeat($2, $3))', [row, 'x', bytes])
        const asked = await askFor(service)
        assertSamePlace(await readFrom(id), asked, `after ${bytes} bytes, from the checkpoint`)
        assertSamePlace(await readFrom(id, start), asked, `after ${bytes} bytes, from the beginning`)
      }
      const end = await readFrom(id)
      assert.equal(await readFrom(id, (end + 1000n) as Lsn), end + 1000n, 'never goes back')
    })

    test('is found in segments that were used before', async () => {
      const recycling = computes.supervisor({ keepsWal: false })
      const id = await computes.claimed(recycling)
      const service = await computes.service(recycling, id)
      const tenant = await computes.tenant(id)
      await tenant.query('create table t (b text); alter table t alter column b set storage external')
      for (let round = 0; round < 6; round++) {
        await tenant.query(`insert into t select repeat('y', 900000) from generate_series(1, 12)`)
        await service.query('checkpoint')
        assertSamePlace(await readFrom(id), await askFor(service), `round ${round}`)
      }
    })

    test('is read of a compute that has crashed, and of one that was stopped', async () => {
      const id = await computes.claimed(supervisor)
      const tenant = await computes.tenant(id)
      tenant.on('error', () => {})
      await tenant.query('create table t as select generate_series(1, 10000) as a')
      const service = await computes.service(supervisor, id)
      const asked = await askFor(service)
      await supervisor.ensureStopped(id, 'immediate')
      assertSamePlace(await readFrom(id), asked, 'crashed')
      await supervisor.ensureRunning(computes.spec(id))
      const again = await computes.service(supervisor, id)
      await again.query('checkpoint')
      const before = await askFor(again)
      await supervisor.ensureStopped(id, 'fast')
      const stopped = await readFrom(id)
      assert.ok(stopped > before && stopped - before < 400n, 'behind the checkpoint of the shutdown')
    })
  })
}

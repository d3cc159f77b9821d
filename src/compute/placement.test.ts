import assert from 'node:assert/strict'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import type { TimelineId } from '../model/ids.ts'
import type { ReplayStart } from '../model/image.ts'
import { parseLsn, type Lsn } from '../model/lsn.ts'
import { assertReplayedTo, copyExclusions, placePoint, replayStartOf } from './placement.ts'
import type { Supervisor } from './supervisor.ts'
import { TestComputes, testInstallations, testOwner } from './test-computes.ts'
import { walSource } from './wal-files.ts'
import { WalReader } from './wal-reader.ts'

for (const [major, installation] of testInstallations) {
  describe(`a point of Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
    })
    after(async () => await computes[Symbol.asyncDispose]())

    const copy = async (from: string, to: string): Promise<void> => {
      await computes.copy(from, to)
      for (const path of copyExclusions) {
        const full = join(to, path)
        if (!path.endsWith('/')) await rm(full, { recursive: true, force: true })
        else for (const name of await readdir(full)) await rm(join(full, name), { recursive: true, force: true })
      }
    }
    const insertLsn = async (client: pg.Client): Promise<Lsn> => {
      const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
      return parseLsn(rows[0]?.lsn ?? '') ?? (0n as Lsn)
    }
    const placed = async (image: string, start: ReplayStart, of: TimelineId, lsn: Lsn): Promise<TimelineId> => {
      const child = computes.emptyTimeline()
      await copy(image, computes.dir(child))
      await placePoint(computes.dir(child), start, { lsn, walFolders: [join(computes.dir(of), 'pg_wal')] }, testOwner)
      await supervisor.ensureRunning(computes.spec(child), { fresh: true })
      return child
    }
    const sum = async (id: TimelineId): Promise<{ n: number; max: number | null }> => {
      const tenant = await computes.tenant(id)
      const { rows } = await tenant.query<{ n: number; max: number | null }>('SELECT count(*)::int AS n, max(a) FROM t')
      await tenant.end()
      return rows[0] ?? { n: -1, max: null }
    }

    test('between two commits is exactly the first', async () => {
      const parent = await computes.claimed(supervisor)
      const tenant = await computes.tenant(parent)
      const service = await computes.service(supervisor, parent)
      await tenant.query('CREATE TABLE t (a int, b text)')
      const points: { n: number; lsn: Lsn; at: bigint }[] = []
      for (let n = 0; n < 5; n++) {
        const { rows } = await tenant.query<{ at: string }>(
          'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8::text AS at',
        )
        points.push({ n, lsn: await insertLsn(service), at: BigInt(rows[0]?.at ?? 0) })
        await tenant.query(`INSERT INTO t VALUES ($1, repeat('x', 5000))`, [n])
      }
      const start = await replayStartOf(computes.templateDir)
      const head = await insertLsn(service)
      const reader = new WalReader(walSource([join(computes.dir(parent), 'pg_wal')], start.tli), head)
      for (const point of points) {
        const found = await reader.firstEndedFrom(start.redoLsn, point.at)
        assert.ok(found && found.lsn >= point.lsn)
        const next = points[point.n + 1]
        if (next) assert.ok(found.end <= next.lsn)
        for (const lsn of [await reader.lastEndUntil(point.lsn), found.lsn]) {
          assert.ok(lsn !== undefined)
          const child = await placed(computes.templateDir, start, parent, lsn)
          await assertReplayedTo(computes.dir(child), lsn)
          assert.equal((await sum(child)).n, point.n, 'rows')
          await supervisor.ensureStopped(child, 'immediate')
        }
      }
    })

    test('of a server that is written to while it is copied', async () => {
      const parent = await computes.claimed(supervisor)
      await (await computes.tenant(parent)).query('CREATE TABLE t (a int, b text); CREATE INDEX ON t (a)')
      const service = await computes.service(supervisor, parent)
      let acknowledged = 0
      const load = new AbortController()
      const writers = Array.from({ length: 4 }, async () => {
        const tenant = await computes.tenant(parent)
        while (!load.signal.aborted) {
          await tenant.query(`INSERT INTO t SELECT 1, repeat('x', 500) FROM generate_series(1, 10) g`)
          await tenant.query(`UPDATE t SET a = a + 1 WHERE ctid IN (SELECT ctid FROM t LIMIT 5 FOR UPDATE SKIP LOCKED)`)
          acknowledged += 10
        }
      })
      for (let round = 0; round < 3; round++) {
        if (round === 1) await service.query('CHECKPOINT')
        const start = await replayStartOf(computes.dir(parent))
        const image = join(computes.root, `image-${round}`)
        await copy(computes.dir(parent), image)
        const low = acknowledged
        const insert = await insertLsn(service)
        await service.query('begin; select pg_current_xact_id(); commit')
        const high = acknowledged + 40
        const reader = new WalReader(walSource([join(computes.dir(parent), 'pg_wal')], start.tli), insert)
        const lsn = await reader.lastEndUntil(insert)
        assert.ok(lsn !== undefined)
        const child = await placed(image, start, parent, lsn)
        await assertReplayedTo(computes.dir(child), lsn)
        const { n } = await sum(child)
        assert.ok(n >= low && n <= high, `${low} <= ${n} <= ${high}`)
        const tenant = await computes.tenant(child)
        await tenant.query('SET enable_seqscan = off')
        const { rows } = await tenant.query<{ n: number }>('SELECT count(*)::int AS n FROM t WHERE a >= 0')
        assert.equal(rows[0]?.n, n, 'the index knows all')
        await tenant.end()
        await supervisor.ensureStopped(child, 'fast')
      }
      load.abort()
      await Promise.all(writers)
    })
  })
}

// Real groups and real computes in them.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { skipUnless } from '../../../test/support/programs.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { bytesInCu, defaultPgMajor } from '../../model/compute.ts'
import { newTimelineId, type TimelineId } from '../../model/ids.ts'
import { processesIn } from '../process.ts'
import { ProcessSizing } from '../process-sizing.ts'
import type { Supervisor } from '../supervisor.ts'
import { TestComputes, testInstallations } from '../test-computes.ts'
import { mostProcesses, type Cgroups } from './cgroups.ts'
import { groupFolders, openCgroups, removeCgroups } from './open.ts'

const cell = `test-${randomBytes(4).toString('hex')}`
const opened = await openCgroups(cell)
const installation = testInstallations.get(defaultPgMajor)
const obstacle = opened.groups ? (installation ? undefined : 'needs Postgres') : opened.why

const megabytes = (count: number): number => count * 2 ** 20
const inCu = (bytes: number): number => bytes / bytesInCu

/** Holds a processor until it is cancelled. */
const burn = 'do $$ begin loop end loop; end $$'
/** Keeps so many megabytes in the memory of one process. */
const hold = (count: number): string =>
  `select array_agg(repeat('x', 1000000) || i) from generate_series(1, ${count}) i`

describe('control groups', skipUnless(obstacle), () => {
  let computes: TestComputes
  let groups: Cgroups
  let supervisor: Supervisor

  before(async () => {
    if (!opened.groups || !installation) return
    groups = opened.groups
    // On a disk: what is kept of files in memory could not go anywhere.
    computes = await TestComputes.open(installation, { within: '/var/tmp' })
    supervisor = supervisorWith(groups)
  })
  after(async () => {
    await computes?.[Symbol.asyncDispose]()
    await groups?.close()
    assert.deepEqual(await removeCgroups(cell), [])
  })

  const supervisorWith = (sizing: Cgroups): Supervisor => computes.supervisor({ confinement: sizing, sizing })

  /** The folders of its group, one in each hierarchy. */
  const foldersOf = async (id: TimelineId): Promise<string[]> =>
    (await groupFolders(cell)).map((folder) => join(folder, id)).filter((folder) => existsSync(folder))

  async function pidsIn(id: TimelineId): Promise<number[][]> {
    const lists = (await foldersOf(id)).map((folder) => readFileSync(join(folder, 'cgroup.procs'), 'utf8'))
    return lists.map((text) =>
      text
        .split('\n')
        .filter(Boolean)
        .map(Number)
        .toSorted((a, b) => a - b),
    )
  }

  async function contentOf(id: TimelineId, ...names: string[]): Promise<number | undefined> {
    const paths = (await foldersOf(id)).flatMap((folder) => names.map((name) => join(folder, name)))
    const path = paths.find((each) => existsSync(each))
    return path === undefined ? undefined : Number(readFileSync(path, 'utf8'))
  }

  const memoryLimit = (id: TimelineId): Promise<number | undefined> =>
    contentOf(id, 'memory.max', 'memory.limit_in_bytes')
  const memoryInUse = (id: TimelineId): Promise<number | undefined> =>
    contentOf(id, 'memory.current', 'memory.usage_in_bytes')

  async function limitMemoryByHand(id: TimelineId, bytes: number): Promise<void> {
    for (const folder of await foldersOf(id))
      for (const path of ['memory.max', 'memory.limit_in_bytes'].map((name) => join(folder, name)))
        if (existsSync(path)) writeFileSync(path, String(bytes))
  }

  const isGone = (id: TimelineId): Promise<true> =>
    eventually(`the groups of ${id} to be gone`, async () => (await foldersOf(id)).length === 0)

  async function running(client: pg.Client, text: string, work: () => Promise<void>): Promise<void> {
    const pid = (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0
    const query = client.query(text).catch(() => {})
    try {
      await work()
    } finally {
      process.kill(pid, 'SIGINT')
      await query
    }
  }

  test('all processes of a compute are in its group, those of its first moments and those of later clients', async () => {
    const id = await computes.claimed(supervisor)
    await computes.tenant(id)
    const all = (await processesIn(computes.dir(id))).toSorted((a, b) => a - b)
    assert.ok(all.length >= 6, `${all.length} processes`)
    const lists = await pidsIn(id)
    assert.ok(lists.length > 0)
    for (const list of lists) assert.deepEqual(list, all)
    await supervisor.ensureStopped(id, 'fast')
    await isGone(id)
  })

  test('whoever may go in by himself is in all of his groups; where one refuses him he is put there', async () => {
    const spec = computes.spec(newTimelineId())
    const { program, args } = await groups.launch(spec, { program: 'sleep', args: ['60'] })
    const folders = await foldersOf(spec.timelineId)
    const refusing = args.map((each) => (each.includes('/pids/') ? '/nonexistent/tasks' : each))
    // In version 2 nobody goes in by himself.
    for (const each of program === 'sleep' ? [refusing] : [args, refusing]) {
      const child = spawn(program, each, { stdio: 'ignore' })
      const pid = child.pid ?? 0
      try {
        await eventually(
          'it to be what was asked for',
          async () => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n',
        )
        if (each === refusing) await groups.confine(spec, pid)
        for (const folder of folders)
          assert.ok(readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').includes(String(pid)), folder)
      } finally {
        child.kill('SIGKILL')
        await once(child, 'close')
      }
    }
    await groups.release(spec)
    await isGone(spec.timelineId)
  })

  test('a start has no limit of CPU, and its number of processes has one', async () => {
    const id = await computes.claimed(supervisor)
    assert.equal(supervisor.sizeOf(id), undefined)
    assert.equal(await contentOf(id, 'pids.max'), mostProcesses(computes.spec(id)))
    await supervisor.ensureStopped(id, 'fast')
  })

  test('whoever burns CPU is held to its size, what is denied to it is seen, and a larger size holds at once', async () => {
    const id = await computes.claimed(supervisor)
    const tenant = await computes.tenant(id)
    const over = async (): Promise<{ used: number; denied: number }> => {
      const [from, began] = [supervisor.load(id), performance.now()]
      await delay(1000)
      const [to, seconds] = [supervisor.load(id), (performance.now() - began) / 1000]
      assert.ok(from && to)
      return {
        used: (to.cpuSeconds - from.cpuSeconds) / seconds,
        denied: (to.throttledSeconds - from.throttledSeconds) / seconds,
      }
    }
    await running(tenant, burn, async () => {
      await supervisor.resize(id, { cu: 0.25, mostCu: 0.5 })
      // What was left over before may be used on top.
      await delay(200)
      const quarter = await over()
      assert.ok(quarter.used < 0.3, `${quarter.used} of a processor`)
      assert.ok(quarter.denied > 0.3, `only ${quarter.denied} denied`)
      await supervisor.resize(id, { cu: 0.5, mostCu: 0.5 })
      await eventually('it to use more', async () => (await over()).used > 0.32)
      assert.equal(supervisor.sizeOf(id), 0.5)
    })
    await supervisor.ensureStopped(id, 'fast')
  })

  test('whoever takes all memory is ended in its own group, and only its own Postgres recovers', async () => {
    const [hog, neighbour] = await Promise.all([computes.claimed(supervisor), computes.claimed(supervisor)])
    const other = await computes.tenant(neighbour)
    const [before] = (await other.query<{ at: Date }>('select pg_postmaster_start_time() as at')).rows
    const tenant = await computes.tenant(hog)
    await tenant.query('create table kept as select 1 as a')
    const most = inCu(megabytes(200))
    // With a processor's time to take it: a twentieth, which goes with so little memory, would take minutes.
    await supervisor.resize(hog, { cu: 1, mostCu: most })
    assert.equal(await memoryLimit(hog), megabytes(200))
    await assert.rejects(tenant.query(hold(400)))
    const again = await eventually('its Postgres to be back', () => computes.tenant(hog).catch(() => undefined))
    assert.deepEqual((await again.query('select a from kept')).rows, [{ a: 1 }])
    assert.match(readFileSync(join(computes.root, 'state', hog, 'postgres.log'), 'utf8'), /signal 9/)
    assert.deepEqual((await other.query('select pg_postmaster_start_time() as at')).rows, [before])
    for (const id of [hog, neighbour]) await supervisor.ensureStopped(id, 'fast')
  })

  test('who has all the processes it may have gets no more, and goes on with those', async () => {
    const id = await computes.claimed(supervisor)
    const first = await computes.tenant(id)
    const file = (await foldersOf(id)).map((folder) => join(folder, 'pids.max')).find((path) => existsSync(path))
    assert.ok(file)
    const most = readFileSync(file, 'utf8')
    writeFileSync(file, String((await processesIn(computes.dir(id))).length + 1))
    const more = await Promise.allSettled([1, 2, 3, 4].map(() => computes.tenant(id)))
    const refused = more.filter((each) => each.status === 'rejected')
    assert.ok(refused.length >= 2, `${refused.length} refused`)
    await first.query('select 1')
    writeFileSync(file, most)
    await (await computes.tenant(id)).query('select 1')
    await supervisor.ensureStopped(id, 'fast')
  })

  test('nobody is ended because a size was lowered: what does not fit keeps its limit until it does', async () => {
    const id = await computes.claimed(supervisor)
    const tenant = await computes.tenant(id)
    await supervisor.resize(id, { cu: 0.5, mostCu: 0.5 })
    const small = inCu(megabytes(200))
    await tenant.query('create table t (a text[])')
    await tenant.query('begin')
    // A cursor that has begun keeps what it has computed.
    await tenant.query(`declare c cursor for ${hold(250)}`)
    await tenant.query('move 1 from c')
    await supervisor.resize(id, { cu: 0.5, mostCu: small })
    assert.equal(await memoryLimit(id), 0.5 * bytesInCu)
    await tenant.query('commit')
    await tenant.end()
    await eventually('the smaller size to fit', async () => {
      await supervisor.resize(id, { cu: 0.5, mostCu: small })
      return (await memoryLimit(id)) === megabytes(200)
    })
    await (await computes.tenant(id)).query('select 1')
    await supervisor.ensureStopped(id, 'fast')
  })

  test('what a compute keeps in its cache beyond its size goes, without anybody being ended', async () => {
    const id = await computes.claimed(supervisor)
    const tenant = await computes.tenant(id)
    await supervisor.resize(id, { cu: 0.5, mostCu: 0.5 })
    await tenant.query(`create table filled as select repeat('x', 900) as a from generate_series(1, 100000)`)
    const small = megabytes(110)
    assert.ok(((await memoryInUse(id)) ?? 0) > small, 'there is nothing to give up')
    await eventually('the cache to go', async () => {
      await supervisor.resize(id, { cu: inCu(small), mostCu: 0.5 })
      return ((await memoryInUse(id)) ?? 0) <= small
    })
    assert.equal(await memoryLimit(id), 0.5 * bytesInCu)
    // So small a size has hardly any CPU.
    await supervisor.resize(id, { cu: 0.5, mostCu: 0.5 })
    assert.equal((await tenant.query('select count(*)::integer as n from filled')).rows[0]?.n, 100_000)
    await supervisor.ensureStopped(id, 'fast')
  })

  test('a compute that runs while pgrove does not keeps its group and its size', async () => {
    const id = await computes.claimed(supervisor)
    await supervisor.resize(id, { cu: 0.75, mostCu: 2 })
    const later = await openCgroups(cell)
    assert.ok(later.groups)
    await later.groups.tidy()
    const successor = supervisorWith(later.groups)
    await successor.adopt()
    assert.equal(successor.sizeOf(id), 0.75)
    assert.equal(await memoryLimit(id), 2 * bytesInCu)
    // As one leaves it that dies while it takes cache away.
    await limitMemoryByHand(id, megabytes(300))
    await successor.resize(id, { cu: 0.75, mostCu: 2 })
    assert.equal(await memoryLimit(id), 2 * bytesInCu)
    // Processes come and go between two looks.
    await eventually('all of its processes are in its group', async () => {
      const all = (await processesIn(computes.dir(id))).toSorted((a, b) => a - b)
      return (await pidsIn(id)).every((list) => isDeepStrictEqual(list, all))
    })
    await successor.ensureStopped(id, 'fast')
    await isGone(id)
  })

  test('a compute that was found outside of any group is taken in, with all that it has begun', async () => {
    const outside = computes.supervisor()
    const id = await computes.claimed(outside)
    await computes.tenant(id)
    assert.deepEqual(await foldersOf(id), [])
    const successor = supervisorWith(groups)
    await successor.adopt()
    const all = (await processesIn(computes.dir(id))).toSorted((a, b) => a - b)
    for (const list of await pidsIn(id)) assert.deepEqual(list, all)
    assert.ok((await foldersOf(id)).length > 0)
    await successor.ensureStopped(id, 'fast')
    await isGone(id)
  })

  test('a compute that is killed leaves no group, and the next start has no limit of CPU', async () => {
    const id = await computes.claimed(supervisor)
    await supervisor.resize(id, { cu: 0.25, mostCu: 0.25 })
    process.kill((await supervisor.ensureRunning(computes.spec(id))).pid, 'SIGKILL')
    await isGone(id)
    await supervisor.ensureRunning(computes.spec(id))
    assert.equal(supervisor.sizeOf(id), undefined)
    const quota = await contentOf(id, 'cpu.cfs_quota_us')
    assert.ok(quota === undefined || quota === -1, `${quota}`)
    await supervisor.ensureStopped(id, 'fast')
  })

  test('groups whose computes are gone go at the next start of pgrove', async () => {
    const id = computes.emptyTimeline()
    await groups.confine(computes.spec(id), 2 ** 22 + 1)
    assert.ok((await foldersOf(id)).length > 0)
    const later = await openCgroups(cell)
    await later.groups?.tidy()
    assert.deepEqual(await foldersOf(id), [])
  })

  test('without groups, processes say of themselves what a compute uses, and nothing is held to it', async () => {
    const sizing = new ProcessSizing()
    const plain = computes.supervisor({ sizing })
    const id = await computes.claimed(plain)
    const tenant = await computes.tenant(id)
    assert.equal(plain.enforcesSizes, false)
    await plain.resize(id, { cu: 0.25, mostCu: 0.25 })
    const before = plain.load(id)
    assert.ok(before && before.memoryBytes > megabytes(5) && before.memoryBytes < megabytes(500))
    await running(tenant, burn, async () => {
      await eventually('the time that it used', async () => (plain.load(id)?.cpuSeconds ?? 0) > before.cpuSeconds + 0.2)
    })
    const [used, again] = [plain.load(id), (await tenant.end(), plain.load(id))]
    assert.ok((again?.cpuSeconds ?? 0) >= (used?.cpuSeconds ?? 0) - 0.02, 'what a session used goes with it')
    await plain.ensureStopped(id, 'fast')
    assert.equal(plain.load(id), undefined)
  })

  test('what is not known or gone has no size and no load', async () => {
    const id = computes.emptyTimeline()
    await groups.resize(id, { cu: 1, mostCu: 1 })
    await groups.lift(id)
    assert.equal(groups.sizeOf(id), undefined)
    assert.equal(groups.usage(id, 1), undefined)
    assert.ok(!(await groupFolders(cell)).some((folder) => basename(folder) === id))
  })
})

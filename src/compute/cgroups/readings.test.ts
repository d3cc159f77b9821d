// What kernels write into these files, as it was found.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openCgroups, readPlaces } from './open.ts'
import { parseMemory, parsePids } from './readings.ts'
import { parseCpuStat as parseVersion1 } from './version-1.ts'
import { parseCpuMax, parseCpuStat as parseVersion2, Version2 } from './version-2.ts'

test('version 1: throttled time is in nanoseconds, cache has shared memory in it, what was missed is in pages', () => {
  const cpuStat = 'nr_periods 26\nnr_throttled 25\nthrottled_time 4211493826\nnr_bursts 1\nburst_time 25000000\n'
  assert.deepEqual(parseVersion1(cpuStat), { throttledSeconds: 4.211493826 })
  const memoryStat = `cache 473296896
rss 298639360
rss_huge 0
shmem 78897152
mapped_file 118018048
dirty 19439616
workingset_refault_anon 0
workingset_refault_file 120440
inactive_file 177823744
active_file 216576000
total_cache 1
total_shmem 2
total_active_file 3
`
  assert.deepEqual(parseMemory(memoryStat, 'cache', 800_000_000), {
    cacheBytes: 394_399_744,
    memoryBytes: 405_600_256,
    activeCacheBytes: 216_576_000,
    refaultedBytesTotal: 120_440 * 4096,
  })
})

test('version 2: times are in microseconds', () => {
  const cpuStat =
    'usage_usec 52340123\nuser_usec 41000000\nsystem_usec 11340123\nnr_periods 120\nnr_throttled 14\nthrottled_usec 953000\nnr_bursts 0\nburst_usec 0\n'
  assert.deepEqual(parseVersion2(cpuStat), { cpuSeconds: 52.340123, throttledSeconds: 0.953 })
  const memoryStat =
    'anon 30000000\nfile 90000000\nkernel 2000000\nshmem 20000000\nactive_file 40000000\nworkingset_refault_anon 0\nworkingset_refault_file 10\n'
  assert.deepEqual(parseMemory(memoryStat, 'file', 125_000_000), {
    cacheBytes: 70_000_000,
    memoryBytes: 55_000_000,
    activeCacheBytes: 40_000_000,
    refaultedBytesTotal: 40_960,
  })
  assert.equal(parseCpuMax('25000 100000\n'), 0.25)
  assert.equal(parseCpuMax('max 100000\n'), undefined)
  assert.equal(parseCpuMax(undefined), undefined)
})

test('a kernel that lacks a figure makes it nothing', () => {
  assert.deepEqual(parseVersion1(''), { throttledSeconds: 0 })
  assert.deepEqual(parseVersion2(''), { cpuSeconds: 0, throttledSeconds: 0 })
  assert.equal(parseMemory('', 'file', 5).memoryBytes, 5)
})

test('processes are listed one a line', () => {
  assert.deepEqual(parsePids('12\n345\n'), [12, 345])
  assert.deepEqual(parsePids(undefined), [])
})

describe('what version 2 is told', () => {
  /** A folder in which nobody reads what is written, so that it can be looked at. */
  async function inFolder(work: (tree: Version2, read: (name: string) => Promise<string>) => Promise<void>) {
    const base = await mkdtemp(join(tmpdir(), 'pgrove-groups-'))
    try {
      for (const folder of [base, join(base, 'all'), join(base, 'all', 'one')]) {
        await mkdir(folder, { recursive: true })
        await writeFile(join(folder, 'cgroup.controllers'), 'cpuset cpu io memory pids\n')
        await writeFile(join(folder, 'cgroup.subtree_control'), 'cpu memory pids\n')
      }
      await work(await Version2.open(base, 'all'), (name) => readFile(join(base, 'all', name), 'utf8'))
    } finally {
      await rm(base, { recursive: true, force: true })
    }
  }

  test('sizes, weights and limits in its own units', async () => {
    await inFolder(async (tree, read) => {
      assert.ok(Number(await read('cpu.weight')) >= 400)
      await tree.make('one')
      await tree.admit('one', 4711)
      assert.equal(await read('one/cgroup.procs'), '4711')
      await tree.limitProcesses('one', 168)
      assert.equal(await read('one/pids.max'), '168')
      await tree.limitCpu('one', 0.25)
      assert.deepEqual([await read('one/cpu.max'), await read('one/cpu.max.burst')], ['25000 100000', '25000'])
      assert.equal(tree.cpuLimit('one'), 0.25)
      await tree.limitCpu('one', undefined)
      assert.deepEqual([await read('one/cpu.max'), await read('one/cpu.max.burst')], ['max 100000', '0'])
      assert.equal(tree.cpuLimit('one'), undefined)
      await tree.limitMemory('one', { bytes: 2 ** 30, mostBytes: 2 ** 33 })
      assert.deepEqual([await read('one/memory.high'), await read('one/memory.max')], [`${2 ** 30}`, `${2 ** 33}`])
      assert.equal(tree.memoryLimit('one'), 2 ** 33)
      await tree.limitMemory('one', { bytes: 2 ** 33, mostBytes: 2 ** 33 })
      assert.equal(await read('one/memory.high'), 'max')
      await tree.limitMemory('one', undefined)
      assert.equal(tree.memoryLimit('one'), undefined)
      assert.deepEqual(await tree.names(), ['one'])
    })
  })

  test('a hierarchy without cpu and memory is said to be without them, and nothing is left in it', async (t) => {
    const { mounts, own } = await readPlaces()
    const [mount] = mounts.filter(({ version }) => version === 2)
    const has = mount && (await readFile(join(mount.path, 'cgroup.controllers'), 'utf8'))
    if (!mount || /\bcpu\b/.test(has ?? '')) return t.skip('needs a machine whose version 2 is empty')
    const before = await readdir(mount.path)
    const opened = await openCgroups('test-empty', { mounts: [mount], own })
    assert.equal(opened.groups, undefined)
    assert.match('why' in opened ? opened.why : '', /have no cpu and no memory/)
    assert.deepEqual(await readdir(mount.path), before)
  })
})

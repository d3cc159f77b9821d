import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadSince, type Readings, type Usage } from './load.ts'

const sizeBytes = 1000

const quiet: Usage = {
  cpuSeconds: 10,
  throttledSeconds: 0,
  memoryBytes: 0,
  cacheBytes: 0,
  activeCacheBytes: 0,
  refaultedBytesTotal: 0,
  readBytesTotal: undefined,
}

/** Of its own size. */
const full: Usage = { ...quiet, cacheBytes: 800, activeCacheBytes: 100 }

/** The last load after these readings, one every two seconds. */
function after(count: number, usageAt: (index: number) => Usage): ReturnType<typeof loadSince>['load'] {
  let readings: Readings | undefined
  let load: ReturnType<typeof loadSince>['load']
  for (let i = 0; i < count; i++) ({ load, readings } = loadSince(readings, usageAt(i), { atMs: i * 2000, sizeBytes }))
  return load
}

test('a first reading says nothing of the load', () => {
  assert.equal(
    after(1, () => quiet),
    undefined,
  )
  assert.deepEqual(
    after(2, () => quiet),
    { cpus: 0, memoryBytes: 0, cacheBytes: 0 },
  )
})

test('what a compute would have used counts with what it used', () => {
  const load = after(2, (i) => ({ ...quiet, cpuSeconds: 10 + i * 0.5, throttledSeconds: i * 1.5 }))
  assert.equal(load?.cpus, 1)
})

test('a total that became smaller, as when a process ends that had it, counts nothing', () => {
  assert.equal(after(2, (i) => ({ ...quiet, cpuSeconds: 10 - i }))?.cpus, 0)
})

test('the working set of the cache is what was used twice and what was missed', () => {
  assert.equal(after(2, (i) => ({ ...full, refaultedBytesTotal: 7 + i * 30 }))?.cacheBytes, 130)
})

test('what was dropped while there was room was not missed for want of a larger size', () => {
  const roomy = (i: number): Usage => ({ ...full, cacheBytes: 700, refaultedBytesTotal: 7 + i * 30 })
  assert.equal(after(10, roomy)?.cacheBytes, 100)
  assert.equal(after(10, (i) => ({ ...roomy(i), memoryBytes: 100 }))?.cacheBytes, 370)
})

test('what was missed is forgotten after five minutes', () => {
  const missed = (i: number): Usage => ({ ...full, refaultedBytesTotal: i === 0 ? 0 : 30 })
  assert.equal(after(140, missed)?.cacheBytes, 130)
  assert.equal(after(170, missed)?.cacheBytes, 100)
})

test('what was not read in five minutes is in no working set, once it was counted for that long', () => {
  const read = (i: number): Usage => ({ ...quiet, activeCacheBytes: 1000, readBytesTotal: 5000 + i })
  assert.equal(after(140, read)?.cacheBytes, 1000)
  const bounded = after(400, read)?.cacheBytes ?? 0
  assert.ok(bounded >= 150 && bounded < 160, `${bounded}`)
  const countedLate = (i: number): Usage => ({ ...read(i), readBytesTotal: i < 300 ? undefined : 5000 + i })
  assert.equal(after(400, countedLate)?.cacheBytes, 1000)
})

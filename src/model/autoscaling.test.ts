import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { nextSize, wantedSize, withinLimits, type HeldSize, type Load, type ScalingLimits } from './autoscaling.ts'

const gib = 2 ** 30
const idle: Load = { cpus: 0, memoryBytes: 0, cacheBytes: 0 }
const wide: ScalingLimits = { minCu: 0.25, maxCu: 8 }
const settleMs = 60_000

const steps = fc.integer({ min: 1, max: 32 }).map((count) => count / 4)
const limits = fc.tuple(steps, steps).map(([a, b]) => ({ minCu: Math.min(a, b), maxCu: Math.max(a, b) }))
const loads = fc.record({
  cpus: fc.double({ min: 0, max: 64, noNaN: true }),
  memoryBytes: fc.integer({ min: 0, max: 64 * gib }),
  cacheBytes: fc.integer({ min: 0, max: 64 * gib }),
})
const story = fc.array(fc.tuple(loads, fc.integer({ min: 1, max: 90_000 })), { minLength: 1, maxLength: 40 })

/** The sizes that follow on one another when these loads are seen in turn, each after its pause. */
function played(from: HeldSize, loads: readonly (readonly [Load, number])[], bounds: ScalingLimits): HeldSize[] {
  let [held, nowMs] = [from, 0]
  return loads.map(([load, pauseMs]) => {
    nowMs += pauseMs
    held = nextSize(held, load, bounds, { nowMs, settleMs })
    return held
  })
}

describe('the size that is asked for', () => {
  test('is the largest of the three needs, and says which', () => {
    const cases: [Partial<Load>, number, string][] = [
      [{}, 0.25, 'minimum'],
      [{ cpus: 0.225 }, 0.25, 'minimum'],
      [{ cpus: 0.226 }, 0.5, 'cpu'],
      [{ cpus: 0.9 }, 1, 'cpu'],
      [{ cpus: 0.91 }, 1.25, 'cpu'],
      [{ memoryBytes: 3 * gib }, 1, 'memory'],
      [{ memoryBytes: 3 * gib + 1e6 }, 1.25, 'memory'],
      [{ cacheBytes: 6 * gib }, 2, 'cache'],
      [{ cpus: 1.8, memoryBytes: 3 * gib, cacheBytes: 9 * gib }, 3, 'cache'],
      [{ cpus: 7.2 }, 8, 'cpu'],
      [{ cpus: 7.3 }, 8, 'maximum'],
      [{ memoryBytes: 64 * gib }, 8, 'maximum'],
    ]
    for (const [load, cu, reason] of cases)
      assert.deepEqual(wantedSize({ ...idle, ...load }, wide), { cu, reason }, JSON.stringify(load))
  })

  test('is a step within the limits, whatever the load', () => {
    fc.assert(
      fc.property(loads, limits, (load, bounds) => {
        const { cu } = wantedSize(load, bounds)
        assert.ok(cu >= bounds.minCu && cu <= bounds.maxCu)
        assert.equal((cu * 4) % 1, 0)
      }),
    )
  })

  test('is never smaller for a larger load', () => {
    fc.assert(
      fc.property(loads, loads, limits, (load, more, bounds) => {
        const larger = {
          cpus: load.cpus + more.cpus,
          memoryBytes: load.memoryBytes + more.memoryBytes,
          cacheBytes: load.cacheBytes + more.cacheBytes,
        }
        assert.ok(wantedSize(larger, bounds).cu >= wantedSize(load, bounds).cu)
      }),
    )
  })

  test('leaves the room that it promises', () => {
    fc.assert(
      fc.property(loads, limits, (load, bounds) => {
        const { cu } = wantedSize(load, bounds)
        if (cu === bounds.maxCu) return
        const slack = cu + 1e-6
        assert.ok(load.cpus <= 0.9 * slack)
        assert.ok(load.memoryBytes <= 0.75 * slack * 4 * gib)
        assert.ok(load.cacheBytes <= 0.75 * slack * 4 * gib)
      }),
    )
  })
})

describe('the size that follows on another', () => {
  const starts = limits.chain((bounds) =>
    fc.record({
      bounds: fc.constant(bounds),
      from: fc.constantFrom(bounds.minCu, bounds.maxCu).map((cu): HeldSize => ({ cu, reason: 'cpu' })),
    }),
  )

  test('is a step within the limits all along', () => {
    fc.assert(
      fc.property(starts, story, ({ bounds, from }, told) => {
        for (const { cu } of played(from, told, bounds)) {
          assert.ok(cu >= bounds.minCu && cu <= bounds.maxCu)
          assert.equal((cu * 4) % 1, 0)
        }
      }),
    )
  })

  test('is at once as large as is asked for', () => {
    fc.assert(
      fc.property(starts, story, ({ bounds, from }, told) => {
        for (const [index, { cu }] of played(from, told, bounds).entries())
          assert.ok(cu >= wantedSize(told[index]?.[0] ?? idle, bounds).cu)
      }),
    )
  })

  test('is smaller only after a smaller one would have been enough for the whole time, and never smaller than that', () => {
    fc.assert(
      fc.property(starts, story, ({ bounds, from }, told) => {
        const sizes = played(from, told, bounds)
        const at: number[] = []
        for (const [, pauseMs] of told) at.push((at.at(-1) ?? 0) + pauseMs)
        for (let i = 1; i < sizes.length; i++) {
          const [before, after] = [sizes[i - 1]?.cu ?? 0, sizes[i]?.cu ?? 0]
          if (after >= before) continue
          const until = at[i] ?? 0
          const inTime = told.flatMap(([load], index) => {
            const when = at[index] ?? 0
            return when <= until && when > until - settleMs ? [wantedSize(load, bounds).cu] : []
          })
          assert.ok(after >= Math.max(...inTime), `${before} became ${after}, asked for were ${inTime.join(', ')}`)
        }
      }),
    )
  })

  test('stays where it is under a load that does not change', () => {
    fc.assert(
      fc.property(starts, loads, fc.integer({ min: 1, max: 90_000 }), ({ bounds, from }, load, pauseMs) => {
        const told = Array.from({ length: 200 }, () => [load, pauseMs] as const)
        const sizes = played(from, told, bounds).map(({ cu }) => cu)
        const changes = sizes.filter((cu, index) => cu !== (sizes[index - 1] ?? from.cu))
        assert.ok(changes.length <= 1, `it went ${changes.join(', ')}`)
        if (pauseMs * 200 > 2 * settleMs) assert.equal(sizes.at(-1), wantedSize(load, bounds).cu)
      }),
    )
  })

  test('stays while a load comes and goes faster than it settles', () => {
    const busy: Load = { ...idle, cpus: 1.5 }
    const told = Array.from({ length: 100 }, (_, index) => [index % 10 === 0 ? busy : idle, 5000] as const)
    const sizes = played({ cu: 0.25, reason: 'minimum' }, told, wide)
    assert.deepEqual(new Set(sizes.map(({ cu }) => cu)), new Set([1.75]))
    assert.equal(sizes.at(-1)?.reason, 'cpu')
  })

  test('goes down to the largest that was asked for meanwhile, and from there on', () => {
    const some: Load = { ...idle, cpus: 0.8 }
    const told: [Load, number][] = [
      [{ ...idle, cpus: 1.7 }, 1000],
      [some, 1000],
      ...Array.from({ length: 40 }, (): [Load, number] => [idle, 4000]),
    ]
    const sizes = played({ cu: 0.25, reason: 'minimum' }, told, wide)
    const seen = sizes.filter((size, index) => size.cu !== sizes[index - 1]?.cu)
    assert.deepEqual(
      seen.map(({ cu, reason }) => [cu, reason]),
      [
        [2, 'cpu'],
        [1, 'cpu'],
        [0.25, 'minimum'],
      ],
    )
  })
})

test('limits that are changed hold at once', () => {
  const held: HeldSize = { cu: 2, reason: 'memory', smaller: { size: { cu: 0.25, reason: 'minimum' }, sinceMs: 5 } }
  assert.deepEqual(withinLimits(held, wide), held)
  assert.deepEqual(withinLimits(held, { minCu: 0.25, maxCu: 1 }), { cu: 1, reason: 'maximum' })
  assert.deepEqual(withinLimits(held, { minCu: 4, maxCu: 8 }), { cu: 4, reason: 'minimum' })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  exceededUsage,
  isReadOnly,
  sizeStanding,
  standingsNow,
  usageQuotas,
  usageStandings,
  type PeriodFigures,
  type UsageStanding,
} from './quota.ts'

const periodEnd = new Date('2026-12-01T00:00:00Z')
const within = new Date('2026-11-26T00:00:00Z')

const used = (amount: number): PeriodFigures => ({
  periodEnd,
  activeSeconds: amount,
  computeSeconds: amount,
  writtenBytes: amount,
  transferBytes: amount,
})

for (const quota of usageQuotas) {
  test(`${quota}: fine, warned twice, exceeded`, () => {
    const levels = [0, 79, 80, 94.9, 95, 99.9, 100, 1000].map(
      (amount) => usageStandings(used(amount), { [quota]: 100 })[0]?.level,
    )
    assert.deepEqual(levels, [
      undefined,
      undefined,
      'warned_80',
      'warned_80',
      'warned_95',
      'warned_95',
      'exceeded',
      'exceeded',
    ])
  })

  test(`${quota}: 0 and absent are unlimited`, () => {
    assert.deepEqual(usageStandings(used(1e15), { [quota]: 0 }), [])
    assert.deepEqual(usageStandings(used(1e15), {}), [])
  })
}

test('each quota stands for itself', () => {
  const figures = { periodEnd, activeSeconds: 50, computeSeconds: 90, writtenBytes: 0, transferBytes: 200 }
  const quotas = { active_time_seconds: 100, compute_time_seconds: 100, data_transfer_bytes: 100 }
  assert.deepEqual(
    usageStandings(figures, quotas).map(({ quota, level }) => [quota, level]),
    [
      ['compute_time_seconds', 'warned_80'],
      ['data_transfer_bytes', 'exceeded'],
    ],
  )
})

test('a size is writable up to its quota, read-only up to 110 %, and stopped beyond', () => {
  const levels = [0, 79, 80, 95, 99, 100, 109, 110, 500].map(
    (bytes) => sizeStanding(bytes, { logical_size_bytes: 100 })?.level,
  )
  assert.deepEqual(levels, [
    undefined,
    undefined,
    'warned_80',
    'warned_95',
    'warned_95',
    'read_only',
    'read_only',
    'blocked',
    'blocked',
  ])
  assert.equal(sizeStanding(1e15, {}), undefined)
  assert.equal(sizeStanding(1e15, { logical_size_bytes: 0 }), undefined)
  assert.deepEqual(
    [undefined, 99, 100, 110].map((bytes) =>
      isReadOnly(bytes === undefined ? undefined : sizeStanding(bytes, { logical_size_bytes: 100 })),
    ),
    [false, false, true, true],
  )
})

const exceeded: UsageStanding = {
  quota: 'compute_time_seconds',
  level: 'exceeded',
  limit: 100,
  used: 120,
  periodEnd: periodEnd.toISOString(),
}

test('what was used up is forgiven with the period, whoever looks', () => {
  assert.equal(exceededUsage([exceeded], within), exceeded)
  assert.equal(exceededUsage([exceeded], new Date(periodEnd.getTime() - 1)), exceeded)
  assert.equal(exceededUsage([exceeded], periodEnd), undefined)
  assert.equal(exceededUsage([{ ...exceeded, level: 'warned_95' }], within), undefined)
  assert.equal(exceededUsage(undefined, within), undefined)
})

test('what was found is judged by the quota of now', () => {
  const size = { level: 'blocked', limit: 100, used: 150 } as const
  const now = (quotas: Parameters<typeof standingsNow>[1]): unknown => {
    const { usageStandings: usage, sizeStanding: of } = standingsNow({ usage: [exceeded], size }, quotas)
    return [usage?.map(({ level, limit }) => `${level} ${limit}`), of?.level]
  }
  assert.deepEqual(now({ compute_time_seconds: 100, logical_size_bytes: 100 }), [['exceeded 100'], 'blocked'])
  // Raised, raised a little, lifted, gone; and lowered.
  assert.deepEqual(now({ compute_time_seconds: 1000, logical_size_bytes: 1000 }), [[], undefined])
  assert.deepEqual(now({ compute_time_seconds: 125, logical_size_bytes: 140 }), [['warned_95 125'], 'read_only'])
  assert.deepEqual(now({ compute_time_seconds: 0, logical_size_bytes: 0 }), [[], undefined])
  assert.deepEqual(now(undefined), [[], undefined])
  assert.deepEqual(now({ compute_time_seconds: 10, logical_size_bytes: 10 }), [['exceeded 10'], 'blocked'])
})

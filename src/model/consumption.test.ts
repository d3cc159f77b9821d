import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  figuresOf,
  granularities,
  includedBranches,
  perMonth,
  timeframesOf,
  type LevelChange,
  type LevelKind,
  type Timeframe,
} from './consumption.ts'
import type { BranchId, ProjectId } from './ids.ts'

const at = (text: string): Date => new Date(`${text}Z`)
const ms = (text: string): number => at(text).getTime()
const now = at('2026-11-26T10:20:30')

function told(granularity: (typeof granularities)[number], from: string, to: string): string[] | string {
  const answer = timeframesOf(granularity, at(from), at(to), now)
  if (answer.kind === 'refused') return 'refused'
  return answer.timeframes.map(({ start }) => new Date(start).toISOString().slice(0, 13))
}

test('timeframes: both ends rounded down, the last one not part of it, none that has not begun', () => {
  assert.deepEqual(told('hourly', '2026-11-26T08:59:59', '2026-11-26T10:00:00'), ['2026-11-26T08', '2026-11-26T09'])
  assert.deepEqual(told('daily', '2026-10-30T23:00:00', '2026-11-01T01:00:00'), ['2026-10-30T00', '2026-10-31T00'])
  assert.deepEqual(told('monthly', '2026-01-31T00:00:00', '2026-04-01T00:00:00'), [
    '2026-01-01T00',
    '2026-02-01T00',
    '2026-03-01T00',
  ])
  assert.deepEqual(
    told('daily', '2026-11-26T00:00:00', '2026-12-24T00:00:00'),
    ['2026-11-26T00'],
    'the one that goes on',
  )
  assert.deepEqual(told('daily', '2026-11-26T00:00:00', '2026-11-26T23:00:00'), [])
})

test('how far back: 168 hours, 60 days, a year, whatever was rounded', () => {
  assert.equal(told('hourly', '2026-11-19T10:00:00', '2026-11-19T11:00:00').length, 1)
  assert.equal(told('hourly', '2026-11-19T09:59:59', '2026-11-19T11:00:00'), 'refused')
  assert.equal(told('daily', '2026-09-27T00:00:00', '2026-09-28T00:00:00').length, 1)
  assert.equal(told('daily', '2026-09-26T23:00:00', '2026-09-28T00:00:00'), 'refused')
  assert.equal(told('monthly', '2025-11-01T00:00:00', '2025-12-01T00:00:00').length, 1)
  assert.equal(told('monthly', '2025-10-31T00:00:00', '2025-12-01T00:00:00'), 'refused')
  for (const granularity of granularities) {
    assert.equal(told(granularity, '2026-11-26T10:00:00', '2026-10-01T00:00:00'), 'refused', 'backwards')
  }
  const early = timeframesOf('monthly', at('2024-02-01T00:00:00'), at('2024-04-01T00:00:00'), at('2024-04-02T00:00:00'))
  assert.ok(early.kind === 'refused' && early.why.includes('2024-03-01'))
})

const [first, second]: [Timeframe, Timeframe] = [
  { start: ms('2026-11-01T00:00:00'), end: ms('2026-11-02T00:00:00') },
  { start: ms('2026-11-02T00:00:00'), end: ms('2026-11-03T00:00:00') },
]
const day = first.end - first.start
const change = (branch: string, kind: LevelKind, since: number, value: number): LevelChange => ({
  projectId: 'p' as ProjectId,
  branchId: branch as BranchId,
  kind,
  since,
  value,
})
const always = [{ projectId: 'p' as ProjectId, since: 0, until: Number.POSITIVE_INFINITY }]

test('a level is integrated from before the range, up to now, and only while the project was theirs', () => {
  const levels = [change('b', 'root', first.start - 5 * day, 100), change('b', 'root', first.start + day / 4, 200)]
  const integral = (ownerships = always, until = now.getTime()): number[] =>
    figuresOf([first, second], { hours: [], levels, ownerships, now: until }).map(({ byteMs }) => byteMs.root / day)
  assert.deepEqual(integral(), [175, 200])
  assert.deepEqual(integral(always, second.start + day / 2), [175, 100])
  const owned = { projectId: 'p' as ProjectId, since: first.start + day / 2, until: second.start + day / 4 }
  assert.deepEqual(integral([owned]), [100, 50])
  const [ours] = figuresOf([first, second], { hours: [], levels, ownerships: [owned], now: now.getTime() })
  assert.equal(ours?.syntheticAtEnd, 200)
  assert.equal(perMonth(30 * day * 100, first), 100)
})

test('branches cost extra beyond those included, for as long as there are so many', () => {
  const levels = Array.from({ length: includedBranches + 2 }, (_, index) => [
    change(`b${index}`, 'exists', first.start - day, 1),
    change(`b${index}`, 'exists', first.start + (index < 2 ? day / 2 : 5 * day), 0),
  ]).flat()
  const figures = figuresOf([first, second], { hours: [], levels, ownerships: always, now: now.getTime() })
  assert.deepEqual(
    figures.map(({ extraBranchMs }) => extraBranchMs / day),
    [1, 0],
  )
})

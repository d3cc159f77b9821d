import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BranchId, OrganizationId, ProjectId } from '../../model/ids.ts'
import type { SizeLevel, SizeStanding, UsageLevel, UsageStanding } from '../../model/quota.ts'
import type { NewEvent } from '../../store/events.ts'
import { sizeEvents, usageEvents } from './quota-events.ts'

const owner = { projectId: 'late-sun-1' as ProjectId, orgId: 'org-1' as OrganizationId }
const branchId = 'br-1' as BranchId
const now = new Date('2026-11-26T10:30:00Z')

const usage = (level: UsageLevel, limit = 100, month = 12): UsageStanding[] => [
  {
    quota: 'compute_time_seconds',
    level,
    limit,
    used: 99,
    periodEnd: new Date(Date.UTC(2026, month - 1, 1)).toISOString(),
  },
]
const size = (level: SizeLevel, limit = 100): SizeStanding => ({ level, limit, used: 99 })

const kinds = (events: NewEvent[]): string[] =>
  events.map(({ kind, details }) => (kind === 'quota.warning' ? `${kind} ${details?.['percent']}` : kind))

test('a standing that rises is told, one that stays is not', () => {
  assert.deepEqual(kinds(usageEvents(owner, [], usage('warned_80'))), ['quota.warning 80'])
  assert.deepEqual(kinds(usageEvents(owner, usage('warned_80'), usage('warned_95'))), ['quota.warning 95'])
  assert.deepEqual(kinds(usageEvents(owner, usage('warned_95'), usage('exceeded'))), ['quota.exceeded'])
  assert.deepEqual(kinds(usageEvents(owner, [], usage('exceeded'))), ['quota.exceeded'])
  assert.deepEqual(kinds(usageEvents(owner, usage('exceeded'), usage('exceeded'))), [])
})

test('what forbids nothing any more is lifted; a new limit and a new period count anew', () => {
  assert.deepEqual(kinds(usageEvents(owner, usage('exceeded'), [])), ['quota.lifted'])
  assert.deepEqual(kinds(usageEvents(owner, usage('warned_80'), [])), [])
  assert.deepEqual(kinds(usageEvents(owner, usage('exceeded'), usage('warned_95', 101))), [
    'quota.warning 95',
    'quota.lifted',
  ])
  assert.deepEqual(kinds(usageEvents(owner, usage('exceeded'), usage('exceeded', 50))), ['quota.exceeded'])
  assert.deepEqual(kinds(usageEvents(owner, usage('warned_80'), usage('warned_80', 100, 13))), ['quota.warning 80'])
})

test('of a size each step is told, and the way back under it', () => {
  const told = (before: SizeStanding | undefined, after: SizeStanding | undefined): string[] =>
    kinds(sizeEvents(owner, branchId, before, after, now))
  assert.deepEqual(told(undefined, size('warned_80')), ['quota.warning 80'])
  assert.deepEqual(told(size('warned_80'), size('read_only')), ['quota.exceeded'])
  assert.deepEqual(told(size('read_only'), size('blocked')), ['quota.blocked'])
  assert.deepEqual(told(size('read_only'), size('warned_95')), ['quota.lifted'])
  assert.deepEqual(told(size('blocked'), undefined), ['quota.lifted'])
  assert.deepEqual(told(size('warned_95'), undefined), [])
  assert.deepEqual(told(size('blocked'), size('read_only', 200)), ['quota.exceeded'])
})

test('names of what is told once differ by what it is about', () => {
  const names = [
    ...usageEvents(owner, [], usage('warned_80')),
    ...usageEvents(owner, [], usage('warned_95')),
    ...usageEvents(owner, [], usage('exceeded')),
    ...usageEvents(owner, [], usage('exceeded', 200)),
    ...usageEvents(owner, [], usage('exceeded', 100, 13)),
    ...usageEvents(owner, usage('exceeded'), []),
    ...sizeEvents(owner, branchId, undefined, size('read_only'), now),
    ...sizeEvents(owner, 'br-2' as BranchId, undefined, size('read_only'), now),
    ...sizeEvents(owner, branchId, undefined, size('read_only'), new Date('2026-11-26T11:00:00Z')),
  ].map(({ once }) => once)
  assert.equal(new Set(names).size, names.length)
  const again = sizeEvents(owner, branchId, undefined, size('read_only'), new Date('2026-11-26T10:59:59Z'))
  assert.ok(names.includes(again[0]?.once))
})

test('an event names the quota, the figures and the period', () => {
  const [event] = usageEvents(owner, [], usage('exceeded'))
  assert.match(event?.message ?? '', /compute time quota \(compute_time_seconds\): 99 of 100/)
  assert.deepEqual(event?.details, {
    quota: 'compute_time_seconds',
    limit: 100,
    used: 99,
    percent: 100,
    period_end: '2026-12-01T00:00:00.000Z',
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lastDue, type SnapshotScheduleItem } from './snapshot-schedule.ts'

// A Monday.
const now = new Date('2026-06-01T12:30:00Z')
const due = (item: SnapshotScheduleItem, at: Date = now): string => lastDue(item, at).toISOString().slice(0, 16)

test('an item was last due on the hour, day or month that it names', () => {
  assert.equal(due({ frequency: 'hourly' }), '2026-06-01T12:00')
  assert.equal(due({ frequency: 'daily', hour: 3 }), '2026-06-01T03:00')
  assert.equal(due({ frequency: 'daily', hour: 13 }), '2026-05-31T13:00')
  assert.equal(due({ frequency: 'daily' }), '2026-06-01T00:00')
  assert.equal(due({ frequency: 'weekly', day: 1, hour: 12 }), '2026-06-01T12:00')
  assert.equal(due({ frequency: 'weekly', day: 1, hour: 13 }), '2026-05-25T13:00')
  assert.equal(due({ frequency: 'weekly', day: 7 }), '2026-05-31T00:00')
  assert.equal(due({ frequency: 'monthly', day: 1, hour: 12 }), '2026-06-01T12:00')
  assert.equal(due({ frequency: 'monthly', day: 15 }), '2026-05-15T00:00')
  assert.equal(due({ frequency: 'yearly', month: 7, day: 4 }), '2025-07-04T00:00')
  assert.equal(due({ frequency: 'yearly' }), '2026-01-01T00:00')
})

test('a day that a month does not have is its last', () => {
  assert.equal(due({ frequency: 'monthly', day: 31 }, new Date('2026-03-15T00:00:00Z')), '2026-02-28T00:00')
  assert.equal(due({ frequency: 'monthly', day: 31 }, new Date('2026-01-02T00:00:00Z')), '2025-12-31T00:00')
  assert.equal(due({ frequency: 'yearly', month: 2, day: 30 }, new Date('2028-06-01T00:00:00Z')), '2028-02-29T00:00')
})

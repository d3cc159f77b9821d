import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTimestamp } from './formats.ts'

test('a timestamp has a zone and is a moment that exists', () => {
  for (const good of [
    '2026-11-23T05:00:00Z',
    '2024-02-29T23:59:59.123456+05:30',
    '2026-11-23t05:00:00z',
    '2026-11-23 05:00:00Z',
  ])
    assert.ok(isTimestamp(good), good)
  for (const bad of [
    '2026-11-23',
    '2026-11-23T05:00:00',
    '2026-02-31T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-01T25:00:00Z',
    '2026-06-30T23:59:60Z',
    '0000-01-01T00:00:00Z',
    '2026-01-01T00:00:00+16:00',
    'yesterday',
    '',
  ])
    assert.ok(!isTimestamp(bad), bad)
})

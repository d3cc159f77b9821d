import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatBranchCursor,
  formatOperationCursor,
  parseBranchCursor,
  parseOperationCursor,
  parseProjectCursor,
  type BranchCursor,
} from './paging.ts'

const refused = { name: 'AppError', code: 'bad_request' }
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

test('cursors come back as they were made', () => {
  const cursors: BranchCursor[] = [
    { branchId: 'br-a-b-c', value: 'Grün/“main”', sortBy: 'name', descending: false },
    { branchId: 'br-a-b-c', value: '🌿'.repeat(256), sortBy: 'name', descending: false },
    { branchId: 'br-a-b-c', value: '2026-01-02T03:04:05.678901Z', sortBy: 'updated_at', descending: true },
    { branchId: 'br-a-b-c', value: '2026-01-02 03:04:05.678901+00', sortBy: 'created_at', descending: true },
  ]
  for (const cursor of cursors) {
    assert.match(formatBranchCursor(cursor), /^[\w-]+$/, 'safe in a URL as it is')
    assert.deepEqual(parseBranchCursor(formatBranchCursor(cursor)), cursor)
  }
  const operation = { createdAt: '2026-01-02T03:04:05.678901Z', id: 'c1f3a2de-8f0c-4a4e-9a61-2d0b7f5d1c11' }
  assert.deepEqual(parseOperationCursor(formatOperationCursor(operation)), operation)
  assert.equal(parseProjectCursor('quiet-river-12345678'), 'quiet-river-12345678')
  for (const parse of [parseProjectCursor, parseBranchCursor, parseOperationCursor])
    assert.equal(parse(undefined), undefined)
})

test('whatever was not made by us is refused', () => {
  const good = {
    branch_id: 'br-a-b-c',
    sort_by: 'created_at',
    sort_by_value: '2026-01-02T03:04:05Z',
    sort_order: 'ASC',
  }
  assert.ok(parseBranchCursor(encode(good)))
  const bad = [
    'x',
    'null',
    '%%%',
    encode(null),
    encode([]),
    encode('text'),
    encode({ ...good, sort_by: 'password' }),
    encode({ ...good, sort_order: 'sideways' }),
    encode({ ...good, branch_id: "'; drop table" }),
    encode({ ...good, branch_id: 1 }),
    encode({ ...good, sort_by_value: '2026-02-31T00:00:00Z' }),
    encode({ ...good, sort_by_value: 'soon' }),
    encode({ ...good, sort_by: 'name', sort_by_value: 'a\0b' }),
    encode({ ...good, sort_by: 'name', sort_by_value: 'x'.repeat(257) }),
    'A'.repeat(5000),
  ]
  for (const cursor of bad) assert.throws(() => parseBranchCursor(cursor), refused, cursor.slice(0, 40))
  for (const cursor of [
    ...bad,
    encode({ created_at: 'soon', id: 'a' }),
    encode({ created_at: '2026-01-02T03:04:05Z', id: 'a' }),
  ])
    assert.throws(() => parseOperationCursor(cursor), refused, cursor.slice(0, 40))
  for (const cursor of ['Not an id', 'a_b', 'ü']) assert.throws(() => parseProjectCursor(cursor), refused)
})

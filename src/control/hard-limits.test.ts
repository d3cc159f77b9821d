import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hardLimitOf } from './hard-limits.ts'

const gibibyte = 2 ** 30

test('without a size quota there is no hard limit', () => {
  assert.equal(hardLimitOf({}, {}), undefined)
  assert.equal(hardLimitOf({ logical_size_bytes: 0, written_data_bytes: 5 }, {}), undefined)
})

test('the hard limit lies beyond the place where a quota stops a branch, by the log that there may be', () => {
  assert.equal(hardLimitOf({ logical_size_bytes: 10 * gibibyte }, {}), 15 * gibibyte)
  assert.equal(hardLimitOf({ logical_size_bytes: 10 * gibibyte }, { max_wal_size: '8GB' }), 22 * gibibyte)
  assert.equal(hardLimitOf({ logical_size_bytes: 10 * gibibyte }, { max_wal_size: '2048' }), 16 * gibibyte)
})

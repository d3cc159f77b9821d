import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAppError } from '../model/errors.ts'
import { parseMicros, parsePoint } from './points.ts'

const now = new Date('2026-06-01T12:00:00.000Z')
const refused = (message: RegExp) => (error: unknown) => isAppError(error, 'bad_request') && message.test(error.message)

test('a timestamp is read to the microsecond, in any zone', () => {
  const second = BigInt(now.getTime()) * 1000n
  assert.equal(parseMicros('2026-06-01T12:00:00Z'), second)
  assert.equal(parseMicros('2026-06-01T12:00:00.123456789Z'), second + 123_456n)
  assert.equal(parseMicros('2026-06-01 14:00:00.5+02:00'), second + 500_000n)
  assert.equal(parseMicros('2026-06-01t12:00:00z'), second)
  for (const text of ['2026-06-01T12:00:00', '2026-06-01', 'yesterday', '', '2026-13-01T00:00:00Z']) {
    assert.equal(parseMicros(text), undefined, text)
  }
})

test('a point is the head, an LSN or a time', () => {
  assert.deepEqual(parsePoint(undefined, undefined, now), { kind: 'head' })
  assert.deepEqual(parsePoint('0/1a2B', undefined, now), { kind: 'lsn', lsn: 0x1a2bn })
  assert.deepEqual(parsePoint(undefined, '2026-06-01T11:59:59Z', now), {
    kind: 'time',
    micros: BigInt(now.getTime()) * 1000n - 1_000_000n,
  })
})

test('a clock of milliseconds means all of its millisecond', () => {
  const second = BigInt(now.getTime()) * 1000n - 1_000_000n
  const at = (text: string) => parsePoint(undefined, text, now)
  assert.deepEqual(at('2026-06-01T11:59:59.123Z'), { kind: 'time', micros: second + 123_999n })
  assert.deepEqual(at('2026-06-01T11:59:59.123000Z'), { kind: 'time', micros: second + 123_000n })
  assert.deepEqual(at('2026-06-01T11:59:59Z'), { kind: 'time', micros: second })
})

test('a clock that is a little ahead means now, and a time further ahead is refused', () => {
  assert.deepEqual(parsePoint(undefined, '2026-06-01T12:00:05Z', now), { kind: 'head' })
  assert.throws(() => parsePoint(undefined, '2026-06-01T12:01:00Z', now), refused(/future/))
})

test('what is no point says how one looks', () => {
  assert.throws(() => parsePoint('nonsense', undefined, now), refused(/0\/1A2B3C8/))
  assert.throws(() => parsePoint(undefined, 'noon', now), refused(/time zone/))
  assert.throws(() => parsePoint('0/1', '2026-06-01T11:00:00Z', now), refused(/not both/))
})

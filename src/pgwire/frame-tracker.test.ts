import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameTracker } from './frame-tracker.ts'
import { writeMessage } from './message.ts'

const message = fc.record({
  type: fc.constantFrom(...'QSFPBDECHXZTCGNA'.split('')),
  body: fc.uint8Array({ maxLength: 40 }),
})

/** The same bytes in pieces of these lengths. */
function* pieces(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  let at = 0
  for (let n = 0; at < bytes.length; n++) {
    const length = lengths[n % lengths.length] ?? 1
    yield bytes.subarray(at, at + length)
    at += length
  }
}

test('however the bytes are cut, it counts the same and knows where a message ends', () => {
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      fc.nat(),
      (messages, lengths, cut) => {
        const parts = messages.map(({ type, body }) => writeMessage(type, Buffer.from(type === 'Z' ? [73] : body)))
        const bytes = Buffer.concat(parts)
        for (const from of ['client', 'server'] as const) {
          const tracker = new FrameTracker(from)
          for (const piece of pieces(bytes, lengths)) tracker.push(piece)
          assert.ok(tracker.atBoundary)
          assert.equal(String.fromCharCode(tracker.lastType), messages.at(-1)?.type)
          const counted = from === 'client' ? 'QSF' : 'Z'
          assert.equal(tracker.count, messages.filter(({ type }) => counted.includes(type)).length)
          if (messages.some(({ type }) => type === 'Z')) assert.equal(tracker.status, 73)

          const ends = new Set(parts.map((_, n) => Buffer.concat(parts.slice(0, n + 1)).length))
          const at = cut % (bytes.length + 1)
          const partial = new FrameTracker(from)
          partial.push(bytes.subarray(0, at))
          assert.equal(partial.atBoundary, at === 0 || ends.has(at))
        }
      },
    ),
  )
})

test('what is no protocol is never at a boundary again', () => {
  const tracker = new FrameTracker('server')
  tracker.push(Buffer.from([0x5a, 0, 0, 0, 1, 0, 0]))
  assert.ok(!tracker.atBoundary)
  tracker.push(writeMessage('Z', Buffer.from('I')))
  assert.ok(!tracker.atBoundary)
})

test('where the message ends that has begun is known before its end has come', () => {
  const message = writeMessage('D', Buffer.alloc(100))
  const tracker = new FrameTracker('server')
  assert.equal(tracker.boundaryIn(message), 0)
  tracker.push(message.subarray(0, 30))
  assert.equal(tracker.boundaryIn(Buffer.alloc(74)), undefined)
  assert.equal(tracker.boundaryIn(Buffer.concat([message.subarray(30), message])), 75)
  tracker.push(message.subarray(30))
  tracker.push(message.subarray(0, 3))
  assert.equal(tracker.boundaryIn(message.subarray(3)), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { writeMessage } from '../../pgwire/message.ts'
import { ProtocolError } from '../../pgwire/protocol-error.ts'
import { MessageSplitter, MessageTooLong } from './message-splitter.ts'
import { readDataRow, readRowDescription } from './row-messages.ts'

const message = fc.record({ type: fc.constantFrom('D', 'C', 'N', 'Z'), body: fc.uint8Array({ maxLength: 40 }) })

test('messages are found wherever the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (messages, cuts) => {
      const bytes = Buffer.concat(messages.map(({ type, body }) => writeMessage(type, Buffer.from(body))))
      const splitter = new MessageSplitter((type) => type !== 'N')
      const seen: { type: string; body: number[] }[] = []
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const cut = cuts[n % cuts.length] ?? 1
        splitter.push(bytes.subarray(at, at + cut), () => 100, ({ type, body }) => seen.push({ type, body: [...body] })) // prettier-ignore
        at += cut
      }
      const read = messages.filter(({ type }) => type !== 'N').map(({ type, body }) => ({ type, body: [...body] }))
      assert.deepEqual(seen, read)
    }),
  )
})

test('a message is too long as soon as its head is there; one that nobody reads never is', () => {
  const splitter = new MessageSplitter((type) => type !== 'N')
  const never = (): void => assert.fail()
  splitter.push(Buffer.from([0x4e, 0x7f, 0xff, 0xff, 0xff]), () => 10, never)
  const other = new MessageSplitter(() => true)
  assert.throws(() => other.push(Buffer.from([0x44, 0, 0, 1, 0]), () => 10, never), MessageTooLong)
  assert.throws(
    () => new MessageSplitter(() => true).push(Buffer.from([0x44, 0, 0, 0, 3]), () => 10, never),
    ProtocolError,
  )
})

test('rows that are cut short are an error, not a guess', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const read of [readDataRow, readRowDescription]) {
        try {
          read(Buffer.from(bytes))
        } catch (error) {
          assert.ok(error instanceof ProtocolError, String(error))
        }
      }
    }),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { BackendGreeting, type BackendKey } from './backend-greeting.ts'
import {
  writeAuthenticationOk,
  writeBackendKeyData,
  writeParameterStatus,
  writeReadyForQuery,
} from './backend-messages.ts'
import { writeMessage } from './message.ts'
import { ProtocolError } from './protocol-error.ts'

const ours: BackendKey = { pid: 7, secret: Buffer.from('ours') }
const theirs: BackendKey = { pid: 42, secret: Buffer.from('real') }
const ready = writeReadyForQuery('I')

function greeting(key: Buffer): Buffer {
  return Buffer.concat([writeAuthenticationOk(), writeParameterStatus('a', 'K'.repeat(100)), key, ready])
}

test('the key is exchanged and everything else passes, however it is cut', () => {
  const rows = Buffer.concat([writeBackendKeyData(1, Buffer.from('data')), ready])
  const input = Buffer.concat([greeting(writeBackendKeyData(theirs.pid, theirs.secret)), rows])
  const expected = Buffer.concat([greeting(writeBackendKeyData(ours.pid, ours.secret)), rows])
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sizes) => {
      const seen: BackendKey[] = []
      const reader = new BackendGreeting((key) => {
        seen.push(key)
        return ours
      })
      const out: Buffer[] = []
      for (let at = 0, turn = 0; at < input.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1
        out.push(...reader.push(input.subarray(at, at + size)))
        at += size
      }
      assert.ok(reader.done)
      assert.deepEqual(seen, [theirs])
      assert.equal(Buffer.concat(out).toString('hex'), expected.toString('hex'))
    }),
  )
})

test('an addition comes once, when the client is in and before it is ready', () => {
  const addition = writeMessage('N', Buffer.from('mind'))
  const reader = new BackendGreeting(() => ours, addition)
  const given = greeting(writeBackendKeyData(theirs.pid, theirs.secret))
  const out = Buffer.concat([...reader.push(given), ...reader.push(ready)])
  let types = ''
  for (let at = 0; at < out.length; at += out.readUInt32BE(at + 1) + 1) types += String.fromCharCode(out[at] ?? 0)
  assert.equal(types, 'RSKNZZ')
})

test('a long message is not held back', () => {
  const reader = new BackendGreeting(() => ours)
  const head = Buffer.from('4e7fffffff', 'hex')
  assert.equal(Buffer.concat(reader.push(Buffer.concat([head, Buffer.alloc(1000)]))).length, 1005)
  assert.equal(Buffer.concat(reader.push(Buffer.alloc(500))).length, 500)
})

test('any bytes pass or are refused', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
      const reader = new BackendGreeting(() => ours)
      try {
        let sent = 0
        for (const chunk of chunks) for (const part of reader.push(Buffer.from(chunk))) sent += part.length
        assert.ok(sent <= chunks.reduce((sum, chunk) => sum + chunk.length, 0) + 4)
      } catch (error) {
        assert.ok(error instanceof ProtocolError)
      }
    }),
  )
})

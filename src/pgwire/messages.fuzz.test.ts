// Messages of a stranger, and of a server that may be somebody else's.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { BackendGreeting } from './backend-greeting.ts'
import {
  writeAuthenticationOk,
  writeBackendKeyData,
  writeParameterStatus,
  writeReadyForQuery,
} from './backend-messages.ts'
import { readErrorFields, sqlStateOf, writeErrorResponse, type ErrorFields } from './error-fields.ts'
import {
  readPasswordMessage,
  readSaslInitialResponse,
  readSaslResponse,
  writePasswordMessage,
  writeSaslInitialResponse,
  writeSaslResponse,
} from './frontend-messages.ts'
import { readMessage, writeMessage, type Message } from './message.ts'
import { anyBytes, damaged, readOrRefused } from './test-support/hostile.ts'

const numRuns = 3000
const longest = 512

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }).map((value) => value.replaceAll('\0', '')),
  fc.constantFrom('\ufeff', '\ufeffsecret'),
)
const letter = fc.nat({ max: 255 }).map((code) => String.fromCharCode(code))

test('a message is read as it was written, and what lies behind it is left alone', () => {
  fc.assert(
    fc.property(letter, anyBytes(longest - 5), anyBytes(30), (type, body, behind) => {
      const bytes = writeMessage(type, body)
      const read = readMessage(Buffer.concat([bytes, behind]), longest)
      assert.deepEqual(read, { value: { type, body }, length: bytes.length })
    }),
    { numRuns },
  )
})

test('any bytes are a message, waited for within the bound, or refused', () => {
  const valid = fc.tuple(letter, anyBytes(longest)).map(([type, body]) => writeMessage(type, body))
  fc.assert(
    fc.property(fc.oneof(anyBytes(longest * 2), damaged(valid)), (bytes) => {
      const parsed = readOrRefused(() => {
        const message = readMessage(bytes, longest)
        if (!message && bytes.length >= 5) assert.ok(bytes.readUInt32BE(1) < longest)
        return message
      })
      if (!parsed) return
      assert.ok(parsed.length >= 5 && parsed.length <= Math.min(bytes.length, longest))
      assert.equal(parsed.value.body.length, parsed.length - 5)
    }),
    { numRuns },
  )
})

test('every length that a header can claim is refused or within the bound', () => {
  for (const length of [0, 3, 4, longest - 1, longest, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]) {
    const header = Buffer.alloc(5)
    header.writeUInt32BE(length, 1)
    const isWaitedFor = length >= 4 && length < longest
    const outcome = readOrRefused(() => readMessage(header, longest) ?? 'waits')
    assert.equal(outcome !== undefined, isWaitedFor, `length ${length}`)
  }
})

const errorFields: fc.Arbitrary<ErrorFields> = fc.record({
  severity: fc.constantFrom('ERROR', 'FATAL', 'PANIC'),
  sqlState: fc.stringMatching(/^[0-9A-Z]{5}$/),
  message: text.filter((value) => value !== ''),
  detail: fc.option(text, { nil: undefined }),
  hint: fc.option(text, { nil: undefined }),
})

test('the fields of an error come back as they were written', () => {
  fc.assert(
    fc.property(errorFields, (fields) => {
      const body = writeErrorResponse(fields).subarray(5)
      const read = readErrorFields(body)
      assert.equal(sqlStateOf(body), fields.sqlState)
      assert.deepEqual(
        { severity: read.get('V'), message: read.get('M'), detail: read.get('D'), hint: read.get('H') },
        {
          severity: fields.severity,
          message: fields.message,
          detail: fields.detail || undefined,
          hint: fields.hint || undefined,
        },
      )
    }),
    { numRuns },
  )
})

test('any body of an error is read or refused, also a huge one', () => {
  const body = errorFields.map((fields) => writeErrorResponse(fields).subarray(5))
  fc.assert(
    fc.property(fc.oneof(anyBytes(400), damaged(body)), (bytes) => {
      const fields = readOrRefused(() => readErrorFields(bytes))
      if (fields) assert.ok(fields.size <= 255)
    }),
    { numRuns },
  )
  for (const unit of ['M', 'M\0', 'Mx\0'])
    assert.ok((readOrRefused(() => readErrorFields(Buffer.from(`${unit.repeat(500_000)}\0`)))?.size ?? 0) <= 1)
})

const passwordMessage = (body: Buffer): Message => ({ type: 'p', body })

test('what a client says while it logs in comes back as it was written', () => {
  fc.assert(
    fc.property(text, fc.stringMatching(/^[A-Z0-9-]{1,20}$/), (value, mechanism) => {
      const bodyOf = (bytes: Buffer): Message => passwordMessage(bytes.subarray(5))
      assert.equal(readPasswordMessage(bodyOf(writePasswordMessage(value))), value)
      assert.equal(readSaslResponse(bodyOf(writeSaslResponse(value))), value)
      assert.deepEqual(readSaslInitialResponse(bodyOf(writeSaslInitialResponse(mechanism, value))), {
        mechanism,
        data: value,
      })
    }),
    { numRuns },
  )
})

test('any answer to a request for a password is read or refused', () => {
  const valid = fc.tuple(text, text).map(([mechanism, data]) => writeSaslInitialResponse(mechanism, data).subarray(5))
  fc.assert(
    fc.property(fc.oneof(anyBytes(200), damaged(valid)), letter, (body, type) => {
      for (const read of [readPasswordMessage, readSaslInitialResponse, readSaslResponse]) {
        readOrRefused(() => read(passwordMessage(body)))
        if (type !== 'p')
          assert.equal(
            readOrRefused(() => read({ type, body })),
            undefined,
          )
      }
    }),
    { numRuns },
  )
})

test('a length inside a SASL response that is not what follows is refused', () => {
  for (const length of [0, 1, 3, 5, -2, 0x7fffffff, -0x80000000]) {
    const body = Buffer.from('M\0....data')
    body.writeInt32BE(length, 2)
    assert.equal(
      readOrRefused(() => readSaslInitialResponse(passwordMessage(body))),
      undefined,
      `length ${length}`,
    )
  }
})

test('a greeting passes the same bytes however they are cut, and holds back no more than a key', () => {
  const other = fc.tuple(fc.constantFrom('S', 'N', 'R'), anyBytes(200)).map(([type, body]) => writeMessage(type, body))
  const key = fc
    .uint8Array({ minLength: 4, maxLength: 256 })
    .map((secret) => writeBackendKeyData(7, Buffer.from(secret)))
  const greeting = fc
    .tuple(fc.array(fc.oneof(other, key), { maxLength: 8 }), anyBytes(100))
    .map(([messages, behind]) =>
      Buffer.concat([
        writeAuthenticationOk(),
        writeParameterStatus('a', 'b'),
        ...messages,
        writeReadyForQuery('I'),
        behind,
      ]),
    )
  fc.assert(
    fc.property(greeting, fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 }), (bytes, cuts) => {
      const reader = new BackendGreeting((given) => given)
      const passed: Buffer[] = []
      let at = 0
      let out = 0
      for (const size of [...cuts, bytes.length]) {
        const chunk = bytes.subarray(at, at + size)
        at += chunk.length
        for (const part of reader.push(chunk)) {
          passed.push(part)
          out += part.length
        }
        assert.ok(at - out <= 5 + 4 + 256)
      }
      assert.ok(reader.done)
      assert.ok(Buffer.concat(passed).equals(bytes))
    }),
    { numRuns: 1000 },
  )
})

test('a server that talks nonsense is refused or passed through', () => {
  fc.assert(
    fc.property(fc.array(anyBytes(80), { maxLength: 10 }), (chunks) => {
      const reader = new BackendGreeting((given) => given)
      readOrRefused(() => {
        for (const chunk of chunks) reader.push(chunk)
      })
    }),
    { numRuns },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ProtocolError } from './protocol-error.ts'
import {
  longestStartupPacket,
  parameterValue,
  readStartupPacket,
  writeCancelRequest,
  writeSslRequest,
  writeStartupMessage,
} from './startup-packet.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

test('the requests that open a connection', () => {
  const read = (text: string): unknown => readStartupPacket(hex(text))
  assert.deepEqual(read('00000008 04d2162f'), { value: { kind: 'ssl_request' }, length: 8 })
  assert.deepEqual(read('00000008 04d21630 ff'), { value: { kind: 'gssenc_request' }, length: 8 })
  assert.deepEqual(read('00000010 04d2162e 0000002a 01020304'), {
    value: { kind: 'cancel_request', pid: 42, secret: hex('01020304') },
    length: 16,
  })
  assert.deepEqual(readStartupPacket(writeSslRequest())?.value, { kind: 'ssl_request' })
})

test('a startup message comes back as it was written', () => {
  const parameters = [
    ['user', 'Zoë'],
    ['options', ''],
  ] as const
  const bytes = writeStartupMessage({ major: 3, minor: 2 }, parameters)
  assert.deepEqual(readStartupPacket(bytes), {
    value: { kind: 'startup', major: 3, minor: 2, parameters },
    length: bytes.length,
  })
  assert.equal(parameterValue(parameters, 'user'), 'Zoë')
  assert.equal(parameterValue([...parameters, ['user', 'last']], 'user'), 'last')
  assert.deepEqual(readStartupPacket(hex('00000009 00020000 ff'))?.value, {
    kind: 'startup',
    major: 2,
    minor: 0,
    parameters: [],
  })
})

test('a secret of protocol 3.2 may be long', () => {
  const secret = Buffer.alloc(256, 7)
  assert.deepEqual(readStartupPacket(writeCancelRequest(1, secret))?.value, { kind: 'cancel_request', pid: 1, secret })
})

test('half a packet is waited for, whatever it says', () => {
  const bytes = writeStartupMessage({ major: 3, minor: 0 }, [['user', 'x']])
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(readStartupPacket(bytes.subarray(0, length)), undefined)
  }
})

const malformed: [why: string, bytes: Buffer][] = [
  ['a length that is too small', hex('00000007 00030000')],
  ['a length that is too large', hex('00002711')],
  ['a length beyond all bounds', hex('ffffffff')],
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['SSLRequest with more in it', hex('00000009 04d2162f 00')],
  ['CancelRequest without a secret', hex('0000000c 04d2162e 0000002a')],
  ['CancelRequest that goes on', writeCancelRequest(1, Buffer.alloc(257))],
  ['no final NUL', hex('0000000a 00030000 7500')],
  ['a name without a value', hex('0000000b 00030000 750000')],
  ['bytes after the end', hex('0000000a 00030000 0000')],
  ['nothing at all', hex('00000008 00030000')],
  ['invalid UTF-8', hex('0000000e 00030000 7500 ff00 00 00')],
]

for (const [why, bytes] of malformed) {
  test(`refused: ${why}`, () => assert.throws(() => readStartupPacket(bytes), ProtocolError))
}

test('any bytes are read, waited for within the bound, or refused', () => {
  const codes = fc.constantFrom(hex('00030000'), hex('00030002'), hex('04d2162f'), hex('04d2162e'), hex('04d21630'))
  const framed = fc.tuple(codes, fc.uint8Array({ maxLength: 300 })).map(([code, body]) => {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(8 + body.length)
    return Buffer.concat([head, code, body])
  })
  fc.assert(
    fc.property(fc.oneof(framed, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      const buffer = Buffer.from(bytes)
      try {
        const parsed = readStartupPacket(buffer)
        if (parsed) assert.ok(parsed.length >= 8 && parsed.length <= buffer.length)
        else assert.ok(buffer.length < longestStartupPacket)
      } catch (error) {
        assert.ok(error instanceof ProtocolError)
      }
    }),
    { numRuns: 2000 },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  writeAuthenticationCleartextPassword,
  writeAuthenticationOk,
  writeBackendKeyData,
  writeNegotiateProtocolVersion,
  writeParameterStatus,
  writeReadyForQuery,
} from './backend-messages.ts'
import { readErrorFields, sqlStateOf, writeErrorResponse } from './error-fields.ts'
import {
  readPasswordMessage,
  writePasswordMessage,
  writeSaslInitialResponse,
  writeSaslResponse,
  writeTerminate,
} from './frontend-messages.ts'
import { readMessage } from './message.ts'
import { ProtocolError } from './protocol-error.ts'
import { joinOptions, splitOptions } from './startup-options.ts'

const written: [name: string, bytes: Buffer, hex: string][] = [
  ['AuthenticationOk', writeAuthenticationOk(), '52 00000008 00000000'],
  ['AuthenticationCleartextPassword', writeAuthenticationCleartextPassword(), '52 00000008 00000003'],
  ['BackendKeyData', writeBackendKeyData(258, Buffer.of(1, 2, 3, 4)), '4b 0000000c 00000102 01020304'],
  ['ParameterStatus', writeParameterStatus('a', 'bc'), '53 00000009 6100 626300'],
  ['ReadyForQuery', writeReadyForQuery('I'), '5a 00000005 49'],
  [
    'NegotiateProtocolVersion',
    writeNegotiateProtocolVersion(0, ['_pq_.x']),
    '76 00000013 00030000 00000001 5f70715f2e7800',
  ],
  ['PasswordMessage', writePasswordMessage('pw'), '70 00000007 707700'],
  ['SASLInitialResponse', writeSaslInitialResponse('M', 'xy'), '70 0000000c 4d00 00000002 7879'],
  ['SASLResponse', writeSaslResponse('xy'), '70 00000006 7879'],
  ['Terminate', writeTerminate(), '58 00000004'],
]

for (const [name, bytes, hex] of written) {
  test(`${name} as the protocol says`, () => assert.equal(bytes.toString('hex'), hex.replaceAll(' ', '')))
}

test('an error comes back as it was written, and no text can add a field', () => {
  const bytes = writeErrorResponse({
    severity: 'FATAL',
    sqlState: '28000',
    message: 'no\0Hinjected',
    detail: 'why',
    hint: '',
  })
  const message = readMessage(bytes, 1000)
  assert.equal(message?.length, bytes.length)
  const fields = readErrorFields(message?.value.body ?? Buffer.alloc(0))
  assert.deepEqual(
    [...fields],
    [
      ['S', 'FATAL'],
      ['V', 'FATAL'],
      ['C', '28000'],
      ['M', 'noHinjected'],
      ['D', 'why'],
    ],
  )
  assert.equal(sqlStateOf(message?.value.body ?? Buffer.alloc(0)), '28000')
})

test('a message is waited for until it is whole, and a long one not at all', () => {
  const bytes = writePasswordMessage('secret')
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(readMessage(bytes.subarray(0, length), 100), undefined)
  }
  assert.equal(readMessage(bytes, 100)?.value.type, 'p')
  assert.throws(() => readMessage(bytes.subarray(0, 5), 6), ProtocolError)
  assert.throws(() => readMessage(Buffer.from('7000000003', 'hex'), 100), ProtocolError)
})

test('a password is one text', () => {
  const read = (body: string): string => readPasswordMessage({ type: 'p', body: Buffer.from(body, 'latin1') })
  assert.equal(read('pä\0'.replace('ä', '\xc3\xa4')), 'pä')
  assert.equal(read('\0'), '')
  for (const body of ['', 'pw', 'a\0b\0', '\xff\0']) assert.throws(() => read(body), ProtocolError)
  assert.throws(() => readPasswordMessage({ type: 'Q', body: Buffer.from('x\0') }), ProtocolError)
})

test('options are split as Postgres splits them', () => {
  const texts = (options: string): string[] => splitOptions(options).map((word) => word.text)
  assert.deepEqual(texts('-c a=b\t\n --x=y\\ z \\\\'), ['-c', 'a=b', '--x=y z', '\\'])
  assert.deepEqual(texts('  '), [])
  assert.equal(joinOptions(splitOptions('  -c  a=b\\ c ')), '-c a=b\\ c')
})

test('splitting and joining options keeps what they mean', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '\\', '=', '\t') }), (options) => {
      const once = splitOptions(options)
      assert.deepEqual(
        splitOptions(joinOptions(once)).map((word) => word.text),
        once.map((word) => word.text),
      )
    }),
  )
})

test('any bytes are a message, too few, or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      for (const read of [
        () => readMessage(Buffer.from(bytes), 50),
        () => readErrorFields(Buffer.from(bytes)),
        () => readPasswordMessage({ type: 'p', body: Buffer.from(bytes) }),
      ]) {
        try {
          read()
        } catch (error) {
          assert.ok(error instanceof ProtocolError)
        }
      }
    }),
  )
})

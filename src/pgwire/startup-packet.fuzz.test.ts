// A stranger's first bytes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { joinOptions, splitOptions } from './startup-options.ts'
import {
  longestStartupPacket,
  readStartupPacket,
  writeCancelRequest,
  writeSslRequest,
  writeStartupMessage,
  type StartupParameter,
} from './startup-packet.ts'
import { anyBytes, damaged, readOrRefused } from './test-support/hostile.ts'

const numRuns = 3000

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }).map((value) => value.replaceAll('\0', '')),
  fc.constantFrom('', '\ufeff', '\ufeffuser', 'Zo\u00eb'),
)
const parameter: fc.Arbitrary<StartupParameter> = fc.tuple(
  text.filter((name) => name !== ''),
  text,
)
const version = fc.record({ major: fc.constant(3), minor: fc.nat({ max: 0xffff }) })
const startup = fc
  .tuple(version, fc.array(parameter, { maxLength: 10 }))
  .map(([{ major, minor }, parameters]) => ({ kind: 'startup' as const, major, minor, parameters }))
const cancel = fc
  .tuple(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.uint8Array({ minLength: 4, maxLength: 256 }))
  .map(([pid, secret]) => ({ kind: 'cancel_request' as const, pid, secret: Buffer.from(secret) }))

const validBytes = fc.oneof(
  startup.map((packet) => writeStartupMessage(packet, packet.parameters)),
  cancel.map(({ pid, secret }) => writeCancelRequest(pid, secret)),
  fc.constant(writeSslRequest()),
)

test('whatever is written is read back, and what lies behind it is left alone', () => {
  fc.assert(
    fc.property(fc.oneof(startup, cancel), anyBytes(30), (packet, behind) => {
      const bytes =
        packet.kind === 'startup'
          ? writeStartupMessage(packet, packet.parameters)
          : writeCancelRequest(packet.pid, packet.secret)
      assert.deepEqual(readStartupPacket(Buffer.concat([bytes, behind])), { value: packet, length: bytes.length })
    }),
    { numRuns },
  )
})

test('any prefix of a packet is waited for', () => {
  fc.assert(
    fc.property(validBytes, fc.nat(), (bytes, end) => {
      assert.equal(readStartupPacket(bytes.subarray(0, end % bytes.length)), undefined)
    }),
    { numRuns },
  )
})

test('random and damaged bytes are read, waited for within the bound, or refused', () => {
  fc.assert(
    fc.property(fc.oneof(anyBytes(600), damaged(validBytes)), (bytes) => {
      const parsed = readOrRefused(() => {
        const packet = readStartupPacket(bytes)
        // Undefined is a promise to wait, and for no more than the longest packet.
        if (!packet && bytes.length >= 4) assert.ok(bytes.readUInt32BE(0) <= longestStartupPacket)
        return packet
      })
      if (parsed) assert.ok(parsed.length >= 8 && parsed.length <= Math.min(bytes.length, longestStartupPacket))
    }),
    { numRuns },
  )
})

test('the answer hangs on the packet and not on how its bytes came or what follows', () => {
  fc.assert(
    fc.property(damaged(validBytes), anyBytes(50), (bytes, behind) => {
      const alone = readOrRefused(() => readStartupPacket(bytes))
      if (!alone) return
      assert.deepEqual(readStartupPacket(Buffer.concat([bytes.subarray(0, alone.length), behind])), alone)
    }),
    { numRuns },
  )
})

test('the longest packet is read, and one byte more is refused before it has come', () => {
  const full = (length: number): Buffer =>
    writeStartupMessage({ major: 3, minor: 0 }, [['user', 'x'.repeat(length - 8 - 'user\0\0\0'.length)]])
  assert.equal(readStartupPacket(full(longestStartupPacket))?.length, longestStartupPacket)
  assert.equal(
    readOrRefused(() => readStartupPacket(full(longestStartupPacket + 1).subarray(0, 4)) ?? 'waits'),
    undefined,
  )
  const many = Array.from({ length: 3000 }, (): StartupParameter => ['a', ''])
  const packet = readStartupPacket(writeStartupMessage({ major: 3, minor: 0 }, many))?.value
  assert.deepEqual(packet, { kind: 'startup', major: 3, minor: 0, parameters: many })
})

test('any options are split into words that mean the same when they are joined again', () => {
  const hostile = fc.string({ unit: fc.constantFrom('a', ' ', '\\', '=', '\t', '\n', '\u00a0', '\u{1f511}', '-c') })
  fc.assert(
    fc.property(fc.oneof(hostile, fc.string({ unit: 'binary' })), (options) => {
      const words = splitOptions(options)
      for (const { raw, text: meant } of words) assert.ok(raw !== '' && meant.length <= raw.length)
      assert.ok(words.reduce((sum, { raw }) => sum + raw.length, 0) <= options.length)
      assert.deepEqual(splitOptions(joinOptions(words)), words)
    }),
    { numRuns },
  )
})

test('options as long as a packet are split', () => {
  for (const unit of ['\\', ' ', 'a', 'a ', '\\ ', '-c a=b '])
    assert.ok(splitOptions(unit.repeat(longestStartupPacket / unit.length)).length <= longestStartupPacket)
})

// Bytes as a stranger may send them, and what a reader of them may do: read them, wait for more, or throw ProtocolError.

import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { ProtocolError } from '../protocol-error.ts'

export const anyBytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength, size: 'max' }).map((bytes) => Buffer.from(bytes))

/** What was valid with a few bytes overwritten, taken out or put in, and perhaps cut off. */
export function damaged(valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const cut = fc.record({
    at: fc.nat(),
    remove: fc.nat({ max: 4 }),
    insert: fc.uint8Array({ maxLength: 4 }),
  })
  return fc.tuple(valid, fc.array(cut, { maxLength: 4 }), fc.option(fc.nat())).map(([bytes, cuts, end]) => {
    let result = bytes
    for (const { at, remove, insert } of cuts) {
      const from = at % (result.length + 1)
      result = Buffer.concat([result.subarray(0, from), insert, result.subarray(from + remove)])
    }
    return end === null ? result : result.subarray(0, end % (result.length + 1))
  })
}

/** The value, or undefined where the input was refused. */
export function readOrRefused<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    assert.ok(error instanceof ProtocolError, `threw ${String(error)}`)
    return undefined
  }
}

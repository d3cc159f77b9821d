// Framing: a type byte, a length that counts itself, a body.

import { ProtocolError } from './protocol-error.ts'
import type { Parsed } from './startup-packet.ts'

export type Message = { type: string; body: Buffer }

/** Reads one message from the start of `buffer`; a longer one than `longest` (type and length included) is refused before it is waited for. */
export function readMessage(buffer: Buffer, longest: number): Parsed<Message> {
  if (buffer.length < 5) return undefined
  const length = buffer.readUInt32BE(1) + 1
  if (length < 5) throw new ProtocolError('message is too short')
  if (length > longest) throw new ProtocolError('message is too long')
  if (buffer.length < length) return undefined
  return { value: { type: String.fromCharCode(buffer[0] ?? 0), body: buffer.subarray(5, length) }, length }
}

export function writeMessage(type: string, ...parts: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(5)
  const length = parts.reduce((sum, part) => sum + part.length, 4)
  head.write(type, 0, 'latin1')
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, ...parts], length + 1)
}

/** A text cannot carry a NUL on the wire: it would end there and the rest be read as the next field. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text.replaceAll('\0', '')}\0`)
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0, 0)
  return bytes
}

// What a client says while it logs in.

import { ProtocolError } from './protocol-error.ts'
import { cString, int32, writeMessage, type Message } from './message.ts'

export function writePasswordMessage(password: string): Buffer {
  return writeMessage('p', cString(password))
}

export function writeSaslInitialResponse(mechanism: string, data: string): Buffer {
  const bytes = Buffer.from(data)
  return writeMessage('p', cString(mechanism), int32(bytes.length), bytes)
}

export function writeSaslResponse(data: string): Buffer {
  return writeMessage('p', Buffer.from(data))
}

export function writeTerminate(): Buffer {
  return writeMessage('X')
}

// With its byte order mark, which is a character like any other here.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of a PasswordMessage. Throws ProtocolError where the message is another one. */
export function readPasswordMessage(message: Message): string {
  if (message.type !== 'p') throw new ProtocolError('expected a password message')
  const { body } = message
  if (body.length === 0 || body.indexOf(0) !== body.length - 1) throw new ProtocolError('password message is malformed')
  try {
    return utf8.decode(body.subarray(0, -1))
  } catch {
    throw new ProtocolError('password is not UTF-8')
  }
}

/** As text, in which the proof is calculated: some clients name their user inside. Throws ProtocolError. */
export function readSaslInitialResponse(message: Message): { mechanism: string; data: string } {
  if (message.type !== 'p') throw new ProtocolError('expected a SASL response')
  const { body } = message
  const end = body.indexOf(0)
  if (end < 0 || body.length < end + 5) throw new ProtocolError('SASL response is malformed')
  // -1: no data.
  const length = Math.max(0, body.readInt32BE(end + 1))
  if (body.length !== end + 5 + length) throw new ProtocolError('SASL response is malformed')
  return { mechanism: body.toString('latin1', 0, end), data: body.toString('utf8', end + 5) }
}

/** Throws ProtocolError. */
export function readSaslResponse(message: Message): string {
  if (message.type !== 'p') throw new ProtocolError('expected a SASL response')
  return message.body.toString('utf8')
}

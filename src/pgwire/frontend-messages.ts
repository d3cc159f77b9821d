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

const utf8 = new TextDecoder('utf-8', { fatal: true })

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

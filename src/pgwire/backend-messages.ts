// What a server says. Only the messages that pgrove makes itself; everything else passes through untouched.

import { cString, int32, writeMessage } from './message.ts'

export const authenticationCodes = {
  ok: 0,
  cleartextPassword: 3,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const

export function writeAuthenticationCleartextPassword(): Buffer {
  return writeMessage('R', int32(authenticationCodes.cleartextPassword))
}

export function writeAuthenticationOk(): Buffer {
  return writeMessage('R', int32(authenticationCodes.ok))
}

/** Says which minor version of protocol 3 is the newest spoken here and which `_pq_.` options are not known. */
export function writeNegotiateProtocolVersion(newestMinor: number, unknownOptions: readonly string[]): Buffer {
  // The field is a whole version (3.N), as Postgres itself sends it and libpq reads it.
  return writeMessage('v', int32((3 << 16) | newestMinor), int32(unknownOptions.length), ...unknownOptions.map(cString))
}

export function writeBackendKeyData(pid: number, secret: Buffer): Buffer {
  return writeMessage('K', int32(pid), secret)
}

export function writeParameterStatus(name: string, value: string): Buffer {
  return writeMessage('S', cString(name), cString(value))
}

export function writeReadyForQuery(status: 'I' | 'T' | 'E'): Buffer {
  return writeMessage('Z', Buffer.from(status, 'latin1'))
}

export function writeAuthenticationSasl(mechanisms: readonly string[]): Buffer {
  return writeMessage('R', int32(authenticationCodes.sasl), ...mechanisms.map(cString), Buffer.of(0))
}

export function writeAuthenticationSaslContinue(data: string): Buffer {
  return writeMessage('R', int32(authenticationCodes.saslContinue), Buffer.from(data))
}

export function writeAuthenticationSaslFinal(data: string): Buffer {
  return writeMessage('R', int32(authenticationCodes.saslFinal), Buffer.from(data))
}

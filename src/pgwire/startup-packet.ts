// The packets that open a connection. They carry no type byte, only a length, so a stranger's first four bytes decide how
// much we would wait for: the limits here are what keeps that bounded.
//
// postgres: src/backend/tcop/backend_startup.c (ProcessStartupPacket), src/include/libpq/pqcomm.h

import { ProtocolError } from './protocol-error.ts'

export type StartupParameter = readonly [name: string, value: string]

export type StartupPacket =
  | { kind: 'ssl_request' }
  | { kind: 'gssenc_request' }
  | { kind: 'cancel_request'; pid: number; secret: Buffer }
  | { kind: 'startup'; major: number; minor: number; parameters: readonly StartupParameter[] }

/** What was read and how many bytes it took; undefined where more bytes are needed. */
export type Parsed<T> = { value: T; length: number } | undefined

export const longestStartupPacket = 10_000
/** A secret has 4 bytes in protocol 3.0 and up to 256 from 3.2 on. */
const longestCancelSecret = 256

const sslRequestCode = 80877103
const gssencRequestCode = 80877104
const cancelRequestCode = 80877102

// With its byte order mark: without it a name would be read as another one.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads one packet from the start of `buffer`. Throws ProtocolError and nothing else. */
export function readStartupPacket(buffer: Buffer): Parsed<StartupPacket> {
  if (buffer.length < 4) return undefined
  const length = buffer.readUInt32BE(0)
  if (length < 8) throw new ProtocolError('startup packet is too short')
  if (length > longestStartupPacket) throw new ProtocolError('startup packet is too long')
  if (buffer.length < length) return undefined
  return { value: decode(buffer.subarray(4, length)), length }
}

function decode(body: Buffer): StartupPacket {
  const code = body.readUInt32BE(0)
  const rest = body.subarray(4)
  switch (code) {
    case sslRequestCode:
      if (rest.length !== 0) throw new ProtocolError('SSLRequest has a wrong length')
      return { kind: 'ssl_request' }
    case gssencRequestCode:
      if (rest.length !== 0) throw new ProtocolError('GSSENCRequest has a wrong length')
      return { kind: 'gssenc_request' }
    case cancelRequestCode:
      if (rest.length < 8 || rest.length > 4 + longestCancelSecret) {
        throw new ProtocolError('CancelRequest has a wrong length')
      }
      return { kind: 'cancel_request', pid: rest.readInt32BE(0), secret: Buffer.from(rest.subarray(4)) }
  }
  const major = code >>> 16
  const minor = code & 0xffff
  // An old or unknown major version may lay out the rest as it likes; whoever asked is told which ones we speak.
  return { kind: 'startup', major, minor, parameters: major === 3 ? readParameters(rest) : [] }
}

function readParameters(bytes: Buffer): StartupParameter[] {
  const parameters: StartupParameter[] = []
  let at = 0
  const text = (): string => {
    const end = bytes.indexOf(0, at)
    if (end < 0) throw new ProtocolError('startup packet lacks its final NUL')
    const slice = bytes.subarray(at, end)
    at = end + 1
    try {
      return utf8.decode(slice)
    } catch {
      throw new ProtocolError('startup packet is not UTF-8')
    }
  }
  for (;;) {
    const name = text()
    if (name === '') break
    parameters.push([name, text()])
  }
  if (at !== bytes.length) throw new ProtocolError('startup packet goes on after its final NUL')
  return parameters
}

/** The last one wins, as in Postgres. */
export function parameterValue(parameters: readonly StartupParameter[], name: string): string | undefined {
  return parameters.findLast(([key]) => key === name)?.[1]
}

export function writeStartupMessage(
  version: { major: number; minor: number },
  parameters: readonly StartupParameter[],
): Buffer {
  const texts = parameters.flatMap(([name, value]) => [Buffer.from(`${name}\0`), Buffer.from(`${value}\0`)])
  const body = Buffer.concat([...texts, Buffer.of(0)])
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length, 0)
  head.writeUInt16BE(version.major, 4)
  head.writeUInt16BE(version.minor, 6)
  return Buffer.concat([head, body])
}

export function writeCancelRequest(pid: number, secret: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt32BE(12 + secret.length, 0)
  head.writeUInt32BE(cancelRequestCode, 4)
  head.writeInt32BE(pid, 8)
  return Buffer.concat([head, secret])
}

export function writeSslRequest(): Buffer {
  const packet = Buffer.alloc(8)
  packet.writeUInt32BE(8, 0)
  packet.writeUInt32BE(sslRequestCode, 4)
  return packet
}

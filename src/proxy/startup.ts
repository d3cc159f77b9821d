// From the first byte of a connection to its startup packet: TLS asked for or begun at once, GSSAPI declined, cancel requests.
//
// Bytes that came before our answer to SSLRequest would be read as if TLS had protected them: whoever sends them is dropped
// (CVE-2021-23214).

import { TLSSocket, type SecureContext } from 'node:tls'
import type { Socket } from 'node:net'
import { ProtocolError } from '../pgwire/protocol-error.ts'
import { readStartupPacket, type StartupPacket } from '../pgwire/startup-packet.ts'
import { ConnectionLost, readFrom } from './socket-reader.ts'

export type Startup = {
  /** The socket to go on with: the TLS one where there is TLS. */
  socket: Socket
  secure: boolean
  serverName: string | undefined
  packet: Extract<StartupPacket, { kind: 'cancel_request' | 'startup' }>
}

const firstByteOfClientHello = 0x16
const alpnProtocol = 'postgresql'

type FirstBytes = { kind: 'tls' } | { kind: 'packet'; packet: StartupPacket }

/** Throws ProtocolError for what is not the Postgres protocol, and ConnectionLost. */
export async function readStartup(tcp: Socket, secureContext: SecureContext): Promise<Startup> {
  let socket = tcp
  let secure = false
  let gssDeclined = false
  for (;;) {
    const first = await readFrom(socket, secure ? readPacketOnly : readFirstBytes)
    if (first.kind === 'tls') {
      socket = await acceptTls(tcp, secureContext)
      secure = true
      continue
    }
    const { packet } = first
    switch (packet.kind) {
      case 'ssl_request':
        if (secure) throw new ProtocolError('SSLRequest inside TLS')
        if (socket.readableLength > 0) throw new ProtocolError('bytes before the answer to SSLRequest')
        socket.write('S')
        socket = await acceptTls(tcp, secureContext)
        secure = true
        break
      case 'gssenc_request':
        if (gssDeclined) throw new ProtocolError('GSSENCRequest again')
        gssDeclined = true
        socket.write('N')
        break
      case 'cancel_request':
      case 'startup':
        return { socket, secure, serverName: secure ? serverNameOf(socket as TLSSocket) : undefined, packet }
    }
  }
}

function readFirstBytes(buffer: Buffer): { value: FirstBytes; length: number } | undefined {
  if (buffer[0] === firstByteOfClientHello) return { value: { kind: 'tls' }, length: 0 }
  return readPacketOnly(buffer)
}

function readPacketOnly(buffer: Buffer): { value: FirstBytes; length: number } | undefined {
  const parsed = readStartupPacket(buffer)
  return parsed && { value: { kind: 'packet', packet: parsed.value }, length: parsed.length }
}

function acceptTls(tcp: Socket, secureContext: SecureContext): Promise<TLSSocket> {
  const socket = new TLSSocket(tcp, {
    isServer: true,
    secureContext,
    // A client that offers protocols and not this one is told so by TLS itself.
    ALPNProtocols: [alpnProtocol],
  })
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      socket.off('secure', secured)
      socket.off('close', lost)
      socket.off('end', lost)
      socket.off('_tlsError', lost)
      tcp.off('end', lost)
    }
    const secured = (): void => {
      finish()
      resolve(socket)
    }
    const lost = (error?: unknown): void => {
      finish()
      socket.destroy()
      reject(new ConnectionLost(error instanceof Error ? error : undefined))
    }
    socket.on('error', () => {})
    socket.on('secure', secured)
    socket.on('close', lost)
    // Half a handshake and then nothing more.
    socket.on('end', lost)
    tcp.on('end', lost)
    socket.on('_tlsError', lost)
  })
}

function serverNameOf(socket: TLSSocket): string | undefined {
  const { servername } = socket as { servername?: string | false }
  return servername || undefined
}

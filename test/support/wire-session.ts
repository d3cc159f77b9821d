// A session by hand: no driver, so that ten thousand of them cost a socket each, and nobody stretches a password more often than he must.

import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { sqlStateOf } from '../../src/pgwire/error-fields.ts'
import {
  writePasswordMessage,
  writeSaslInitialResponse,
  writeSaslResponse,
} from '../../src/pgwire/frontend-messages.ts'
import { cString, readMessage, writeMessage, type Message } from '../../src/pgwire/message.ts'
import { ScramClient, scramSha256 } from '../../src/pgwire/scram-client.ts'
import { deriveKeys, sha256, type ScramKeys } from '../../src/pgwire/scram-keys.ts'
import { formatVerifier } from '../../src/pgwire/scram-verifier.ts'
import { writeSslRequest, writeStartupMessage } from '../../src/pgwire/startup-packet.ts'
import { readFrom } from '../../src/proxy/socket-reader.ts'

const longestMessage = 1_000_000

/** `host`: a folder where it begins with a slash. `tls`: over TCP only, and the certificate is not looked at. `options`: of the startup packet. */
export type Address = {
  host: string
  port: number
  user: string
  database: string
  password?: string
  tls?: boolean
  options?: string
}

/** What a password became with the salt of one role. */
export type StretchedPassword = { salt: Buffer; iterations: number; keys: ScramKeys }

export type WireSession = {
  socket: Socket
  stretched: StretchedPassword | undefined
  key: { pid: number; secret: Buffer }
}

/** Logged in and idle. `known`: of an earlier session of the same role at the same server. */
export async function openSession(address: Address, known?: StretchedPassword): Promise<WireSession> {
  const { host, port, user, database, tls, options } = address
  const plain = await dial({ host, port })
  const socket = tls ? await overTls(plain) : plain
  const startup: [name: string, value: string][] = [
    ['user', user],
    ['database', database],
  ]
  if (options !== undefined) startup.push(['options', options])
  socket.write(writeStartupMessage({ major: 3, minor: 0 }, startup))
  return { socket, ...(await logIn(socket, address.password ?? '', known)) }
}

export async function dial({ host, port }: Pick<Address, 'host' | 'port'>): Promise<Socket> {
  const path = { path: join(host, `.s.PGSQL.${port}`) }
  const socket = connect(host.startsWith('/') ? path : { host, port, noDelay: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Of one row with one value. */
export async function askOnce({ socket }: WireSession, sql: string): Promise<string> {
  socket.write(writeMessage('Q', cString(sql)))
  const { body } = await readUntil(socket, 'D')
  await readUntil(socket, 'Z')
  return body.toString('utf8', 6)
}

/** As the server stores it: whoever knows the password and was told the salt can say it. */
export function verifierOf({ salt, iterations, keys }: StretchedPassword): string {
  return formatVerifier({ iterations, salt, storedKey: sha256(keys.clientKey), serverKey: keys.serverKey })
}

async function logIn(
  socket: Socket,
  password: string,
  known: StretchedPassword | undefined,
): Promise<Omit<WireSession, 'socket'>> {
  let scram: ScramClient | undefined
  let stretched = known
  for (;;) {
    const { body } = await readUntil(socket, 'R')
    switch (body.readInt32BE(0)) {
      case 0: {
        const key = (await readUntil(socket, 'K')).body
        await readUntil(socket, 'Z')
        return { stretched, key: { pid: key.readInt32BE(0), secret: Buffer.from(key.subarray(4)) } }
      }
      case 3:
        socket.write(writePasswordMessage(password))
        break
      case 10:
        scram = new ScramClient(known?.keys ?? password)
        socket.write(writeSaslInitialResponse(scramSha256, scram.first()))
        break
      case 11: {
        const challenge = body.toString('utf8', 4)
        socket.write(writeSaslResponse((await scram?.final(challenge)) ?? ''))
        stretched ??= await stretch(password, challenge)
        break
      }
      case 12:
        scram?.verify(body.toString('utf8', 4))
        break
      default:
        throw new Error('the server wants to be logged in to in another way')
    }
  }
}

async function stretch(password: string, challenge: string): Promise<StretchedPassword> {
  const [, saltText = '', iterationsText = ''] = /,s=([^,]+),i=(\d+)$/.exec(challenge) ?? []
  const [salt, iterations] = [Buffer.from(saltText, 'base64'), Number(iterationsText)]
  return { salt, iterations, keys: await deriveKeys(password, salt, iterations) }
}

async function overTls(plain: Socket): Promise<Socket> {
  plain.write(writeSslRequest())
  const [answer] = (await once(plain, 'data')) as [Buffer]
  if (answer.toString() !== 'S') throw new Error('the server does not speak TLS')
  const socket = connectTls({ socket: plain, rejectUnauthorized: false })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

async function readUntil(socket: Socket, type: string): Promise<Message> {
  for (;;) {
    const message = await readFrom(socket, (buffer) => readMessage(buffer, longestMessage))
    if (message.type === type) return message
    if (message.type === 'E') throw new Error(`the server refused with ${sqlStateOf(message.body)}`)
  }
}

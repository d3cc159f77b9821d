// What strangers send: nothing of it may hold a connection, memory or an error.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import * as fc from 'fast-check'
import { Client } from 'pg'
import { silentLogger } from '../lib/logger.ts'
import { ensureCertificates } from '../lib/certificates.ts'
import { writePasswordMessage } from '../pgwire/frontend-messages.ts'
import { readErrorFields } from '../pgwire/error-fields.ts'
import { readMessage } from '../pgwire/message.ts'
import { writeCancelRequest, writeSslRequest, writeStartupMessage } from '../pgwire/startup-packet.ts'
import { startEdge } from './edge.ts'
import { FakeControlPlane } from './test-support/fake-control-plane.ts'
import { testPassword, testUser } from './test-support/postgres.ts'
import { anyPort, testDomain, testEndpoint, TestEdge, until } from './test-support/test-edge.ts'

let it: TestEdge
before(async () => {
  it = await TestEdge.start({ handshakeTimeoutMs: 1_000 })
})
after(() => it[Symbol.asyncDispose]())

function open(): Socket {
  const socket = connect({ port: it.port, host: '127.0.0.1' })
  socket.on('error', () => {})
  return socket
}

async function everything(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'close')
  return Buffer.concat(chunks)
}

const startup = (parameters: [string, string][] = [], minor = 0): Buffer =>
  writeStartupMessage({ major: 3, minor }, [['user', testUser], ['database', 'postgres'], ...parameters])

function errorIn(bytes: Buffer): Map<string, string> {
  const message = readMessage(bytes, 10_000)?.value
  assert.equal(message?.type, 'E')
  return readErrorFields(message?.body ?? Buffer.alloc(0))
}

test('garbage is dropped without a word', async () => {
  for (const bytes of [
    'GET / HTTP/1.1\r\n\r\n',
    '\0\0\0\x07',
    'SSH-2.0-x\r\n',
    '\x16\x03\x01\x00\x02\x01\x00\xff\xff',
  ]) {
    const socket = open()
    socket.write(bytes, 'latin1')
    const reply = await everything(socket)
    // TLS answers garbage in its own records with an alert of its own.
    assert.ok(reply.length === 0 || reply[0] === 0x15, `${JSON.stringify(bytes)} got ${reply.toString('hex')}`)
  }
})

test('any bytes end in a close', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (bytes) => {
      const socket = open()
      socket.end(bytes)
      await everything(socket)
    }),
    { numRuns: 100 },
  )
  await until('all closed', () => it.edge.connections() === 0)
})

test('a silent client, a slow one and one that stops inside TLS are cut off', async () => {
  const silent = open()
  const slow = open()
  const bytes = startup()
  let sent = 0
  const drip = setInterval(() => slow.write(bytes.subarray(sent, ++sent)), 50)
  const inTls = open()
  inTls.write(writeSslRequest())
  const passwordless = open()
  passwordless.write(startup())
  await Promise.all([silent, slow, inTls, passwordless].map(everything))
  clearInterval(drip)
  assert.ok(sent < bytes.length)
  await until('all closed', () => it.edge.connections() === 0)
})

test('bytes that came before TLS was agreed are never read as if TLS had carried them', async () => {
  const socket = open()
  socket.write(Buffer.concat([writeSslRequest(), startup([['options', `endpoint=${testEndpoint}`]])]))
  assert.equal((await everything(socket)).length, 0)
})

test('GSSAPI encryption is declined once, and the connection goes on', async () => {
  const gssRequest = Buffer.from('0000000804d21630', 'hex')
  const socket = open()
  socket.write(gssRequest)
  assert.equal(String((await once(socket, 'data'))[0]), 'N')
  socket.write(writeSslRequest())
  assert.equal(String((await once(socket, 'data'))[0]), 'S')
  socket.destroy()
  const again = open()
  again.write(Buffer.concat([gssRequest, gssRequest]))
  assert.equal(String(await everything(again)), 'N')
})

test('TLS from the first byte: our protocol or none, no other', async () => {
  const ca = readFileSync(it.caFile)
  const tls = { port: it.port, host: '127.0.0.1', ca, servername: `${testEndpoint}.${testDomain}` }
  for (const ALPNProtocols of [[], ['postgresql'], ['h2', 'postgresql']]) {
    const socket = connectTls({ ...tls, ALPNProtocols })
    await once(socket, 'secureConnect')
    assert.equal(socket.alpnProtocol, ALPNProtocols.length > 0 ? 'postgresql' : false)
    socket.write(startup())
    assert.equal(String.fromCharCode(((await once(socket, 'data'))[0] as Buffer)[0] ?? 0), 'R')
    socket.destroy()
  }
  const other = connectTls({ ...tls, ALPNProtocols: ['h2'] })
  const [error] = (await once(other, 'error')) as [Error]
  assert.match(error.message, /no application protocol/)
  const old = connectTls({ ...tls, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })
  await once(old, 'error')
})

test('a cancel request with a key that is not ours is closed at once', async () => {
  const socket = open()
  socket.write(writeCancelRequest(1, Buffer.alloc(4)))
  assert.equal((await everything(socket)).length, 0)
})

test('another major version is told which are spoken', async () => {
  const socket = open()
  socket.write(Buffer.from('00000009000400000', 'hex'))
  socket.write(Buffer.of(0))
  const fields = errorIn(await everything(socket))
  assert.equal(fields.get('C'), '0A000')
  assert.match(fields.get('M') ?? '', /^unsupported frontend protocol 4\.0/)
})

test('a newer minor version is negotiated by us, however the endpoint is named', async () => {
  const socket = open()
  socket.write(
    startup(
      [
        ['options', `endpoint=${testEndpoint}`],
        ['_pq_.unheard_of', 'x'],
      ],
      2,
    ),
  )
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  const negotiation = readMessage(bytes, 1_000)?.value
  assert.equal(negotiation?.type, 'v')
  socket.destroy()

  const asking = open()
  asking.write(startup([['_pq_.unheard_of', 'x']], 2))
  const [ours] = (await once(asking, 'data')) as [Buffer]
  assert.deepEqual(readMessage(ours, 1_000)?.value, negotiation)
  asking.write(writePasswordMessage(`endpoint=${testEndpoint};${testPassword}`))
  const [greeting] = (await once(asking, 'data')) as [Buffer]
  assert.deepEqual(readMessage(greeting, 1_000)?.value, { type: 'R', body: Buffer.alloc(4) })
  asking.destroy()
})

test('a refused client that goes on sending still reads why', async () => {
  const socket = open()
  socket.write(startup([['options', 'endpoint=ep_unknown']]))
  socket.write(Buffer.alloc(100_000))
  assert.match(errorIn(await everything(socket)).get('M') ?? '', /must contain only alphanumeric/)
})

const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.family === 'IPv4' && !address.internal)?.address

test('from another machine TLS is required', { skip: ownAddress ? false : 'no address but loopback' }, async () => {
  const host = ownAddress ?? ''
  const controlPlane = new FakeControlPlane({})
  const edge = await startEdge({
    controlPlane,
    domains: [testDomain],
    pg: { ...anyPort, host: '0.0.0.0' },
    http: anyPort,
    tls: await ensureCertificates(`${it.postgres.folder}/tls`, { domains: [testDomain] }),
    controlHttpSocket: '/nowhere',
    mockSecret: Buffer.alloc(32, 7),
    logger: silentLogger,
  })
  try {
    const login = { host, port: edge.ports.pg, user: 'x', password: 'x', options: 'endpoint=ep-unknown' }
    await assert.rejects(new Client(login).connect(), /connection is insecure \(try using `sslmode=require`\)/)
    assert.deepEqual(controlPlane.wakes, [])
    const ssl = { rejectUnauthorized: false }
    await assert.rejects(new Client({ ...login, ssl }).connect(), /password authentication failed/)
  } finally {
    await edge.close()
  }
})

test('a thousand quick connections leave nothing behind', async () => {
  const login = {
    host: '127.0.0.1',
    port: it.port,
    user: testUser,
    password: testPassword,
    database: 'postgres',
    options: `endpoint=${testEndpoint}`,
  }
  const files = (): number => process.getActiveResourcesInfo().filter((name) => name.endsWith('Wrap')).length
  const before = files()
  let left = 1_000
  const visitor = async (): Promise<void> => {
    while (left-- > 0) {
      const client = new Client(login)
      client.on('error', () => {})
      await client.connect()
      // Every third leaves without a word.
      if (left % 3 === 0) (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy()
      else await client.end()
    }
  }
  await Promise.all(Array.from({ length: 16 }, visitor))
  await until('all closed', () => it.edge.connections() === 0)
  await until('no handles left', () => files() <= before + 2)
  await until('no session', () => it.controlPlane.activity.get(testEndpoint)?.sessions === 0)
})

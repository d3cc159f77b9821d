// Strangers and tenants that mean no good, against a started pgrove: whatever they send, the same edge goes on serving the others, with no
// more memory than a generous bound and no socket left behind.

import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { writeSaslInitialResponse } from '../../src/pgwire/frontend-messages.ts'
import { int32, writeMessage } from '../../src/pgwire/message.ts'
import { scramSha256 } from '../../src/pgwire/scram-client.ts'
import { writeCancelRequest, writeSslRequest, writeStartupMessage } from '../../src/pgwire/startup-packet.ts'
import { proxyAddress } from '../support/addresses.ts'
import { eventually } from '../support/eventually.ts'
import { withinMs } from '../support/faults.ts'
import { query } from '../support/frontend.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { nodePids, openFiles, residentMb } from '../support/node-pids.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { askOnce, openSession, type Address, type StretchedPassword } from '../support/wire-session.ts'

/** What a Node process may take meanwhile and not give back at once. */
const growthMb = 200
const megabyte = 1 << 20
/** Long enough for a handshake to time out. */
const goneTimeoutMs = 60_000
/** Of other clients at the same time. */
const bystanders = 20

let server: TestServer
let project: TestProject
let edge: number
let known: StretchedPassword | undefined
let startup: Buffer
let baseline: { files: number; memoryMb: number }

const address = (pooled: boolean, tls = false): Address => proxyAddress(server, project, { pooled, tls })

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  project = await makeProject(server)
  edge = (await nodePids(server)).edge
  startup = writeStartupMessage({ major: 3, minor: 0 }, [
    ['user', project.role],
    ['database', project.database],
    ['options', `endpoint=${project.endpointId}`],
  ])
  await serves()
  // What the first of everything brings with it is not the doing of anybody below.
  await each(200, 20, () => stranger((socket) => sendAndLeave(socket, randomBytes(100))))
  await serves()
})
after(() => server?.[Symbol.asyncDispose]())

beforeEach(async () => {
  baseline = { files: await openFiles(edge), memoryMb: await residentMb(edge) }
})

afterEach(async () => {
  await serves()
  await eventually(
    `no more than ${baseline.files + slack} files are open`,
    async () => (await openFiles(edge)) <= baseline.files + slack,
    goneTimeoutMs,
  )
  await assertBounded()
  assert.equal((await nodePids(server)).edge, edge, 'the edge is another process')
  const log = (await server.log()).split('\n')
  assert.deepEqual(
    log.filter((line) => /"level":"(?:error|fatal)"/.test(line)),
    [],
  )
})

/** Connections of the edge's own to control and to the compute come and go: one for each bystander. */
const slack = 2 * bystanders

test('random bytes', async () => {
  await each(1000, 50, () => stranger((socket) => sendAndLeave(socket, randomBytes(randomInt(2000)))))
})

test('startup packets that are damaged, cut off, or of lengths that nobody can mean', async () => {
  await each(500, 50, () =>
    stranger(async (socket) => {
      const bytes = Buffer.from(startup)
      bytes[randomInt(bytes.length)] = randomInt(256)
      await sendAndLeave(socket, bytes.subarray(0, randomInt(bytes.length + 1)))
    }),
  )
  for (const length of [0, 7, 8, 10_001, 0x7fffffff, 0x80000000, 0xffffffff]) {
    await stranger(async (socket) => {
      const head = Buffer.alloc(8)
      head.writeUInt32BE(length)
      head.writeUInt32BE(196_608, 4)
      await sendAndLeave(socket, Buffer.concat([head, Buffer.alloc(megabyte, 'x')]))
    })
  }
})

test('what is no TLS where TLS was asked for', async () => {
  await each(300, 30, () =>
    stranger(async (socket) => {
      socket.write(writeSslRequest())
      await Promise.race([once(socket, 'data'), once(socket, 'close')])
      await sendAndLeave(socket, randomBytes(randomInt(1, 3000)))
    }),
  )
  await each(300, 30, () =>
    stranger((socket) => sendAndLeave(socket, Buffer.concat([Buffer.of(0x16, 3, 1), randomBytes(randomInt(3000))]))),
  )
})

test('thousands that leave in the middle of a handshake', async () => {
  const stages = [
    () => Buffer.alloc(0),
    () => writeSslRequest(),
    () => startup.subarray(0, randomInt(startup.length)),
    () => startup,
    () => Buffer.concat([startup, writeSaslInitialResponse(scramSha256, 'n,,n=,r=nonce')]),
    () => Buffer.concat([startup, writeMessage('p', randomBytes(20))]),
  ]
  await each(3000, 100, () =>
    stranger(async (socket) => {
      const stage = stages[randomInt(stages.length)]
      socket.write(stage?.() ?? Buffer.alloc(0))
      await delay(randomInt(20))
      if (randomInt(2) === 0) socket.resetAndDestroy()
      else socket.destroy()
    }),
  )
})

test('endless answers to the request for a password, and nobody who reads', async () => {
  await each(20, 10, () =>
    stranger(async (socket) => {
      socket.pause()
      socket.write(startup)
      await sendAndLeave(socket, Buffer.concat([Buffer.from('p'), int32(0x7fffffff), Buffer.alloc(20 * megabyte)]))
    }),
  )
})

test('hundreds that send a byte now and then are sent away, and nobody waits for them', async () => {
  const sockets = await Promise.all(Array.from({ length: 300 }, () => dial(server.pgPort)))
  const closed = sockets.map((socket) => once(socket, 'close'))
  const bytes = Buffer.concat([startup, Buffer.alloc(10_000)])
  let at = 0
  const drip = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(bytes.subarray(at, at + 1))
    // It never becomes a whole packet.
    at = Math.min(at + 1, startup.length - 2)
  }, 250)
  try {
    for (let round = 0; round < 5; round++) {
      await serves()
      await delay(300)
    }
    await withinMs('they are sent away', goneTimeoutMs, Promise.all(closed))
  } finally {
    clearInterval(drip)
    for (const socket of sockets) socket.destroy()
  }
})

test('keys to cancel with that nobody was given', async () => {
  await each(1000, 50, () =>
    stranger((socket) => sendAndLeave(socket, writeCancelRequest(randomInt(2 ** 31), randomBytes(randomInt(4, 257))))),
  )
})

for (const pooled of [false, true]) {
  const where = pooled ? ' (pooled)' : ''

  test(`garbage after the login${where}`, async () => {
    await each(100, 10, async () => {
      const { socket } = await openSession(address(pooled), known)
      socket.resume()
      const type = String.fromCharCode(randomInt(256))
      const hostile = [
        () => randomBytes(randomInt(1, 5000)),
        () => writeMessage(type, randomBytes(randomInt(200))),
        () => Buffer.concat([Buffer.from(type, 'latin1'), int32(randomInt(-5, 4))]),
        () => Buffer.concat([query('begin'), query('select 1').subarray(0, 8)]),
        () => Buffer.concat([query('select pg_sleep(0.01)'), writeMessage('p', Buffer.alloc(5)), randomBytes(10)]),
        () => startup,
      ]
      await sendAndLeave(socket, hostile[randomInt(hostile.length)]?.() ?? Buffer.alloc(0))
    })
  })

  test(`messages that claim a gigabyte and go on for a hundred megabytes${where}`, async () => {
    await each(4, 2, async () => {
      const { socket } = await openSession(address(pooled), known)
      socket.resume()
      socket.write(Buffer.concat([Buffer.from('Q'), int32(1_000_000_000)]))
      await flood(socket, 100)
      await assertBounded()
      socket.destroy()
    })
  })

  test(`clients that ask for much and read nothing${where}`, async () => {
    const sockets: Socket[] = []
    try {
      for (let i = 0; i < 4; i++) {
        const { socket } = await openSession(address(pooled), known)
        sockets.push(socket)
        socket.pause()
        socket.write(query(`select repeat('x', 100000) from generate_series(1, 5000)`))
      }
      for (let look = 0; look < 10; look++) {
        await delay(200)
        await assertBounded()
      }
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })

  test(`clients that ask without end and read nothing${where}`, async () => {
    await each(4, 4, async () => {
      const { socket } = await openSession(address(pooled), known)
      socket.pause()
      const many = Buffer.concat(Array.from({ length: 1000 }, () => query(`select repeat('x', 1000)`)))
      for (let i = 0; i < 1000 && !socket.destroyed; i++) {
        // Whoever does not read is not read from, so that this comes to a halt.
        if (!socket.write(many) && !(await drained(socket, 2000))) break
      }
      await assertBounded()
      socket.destroy()
    })
  })
}

test('bytes that are no HTTP', async () => {
  await each(300, 30, () =>
    stranger((socket) => sendAndLeave(socket, randomBytes(randomInt(1, 5000))), server.httpPort),
  )
  await stranger(async (socket) => {
    socket.write('POST /sql HTTP/1.1\r\nHost: x\r\nX: ')
    await flood(socket, 50)
  }, server.httpPort)
})

/** Others are served meanwhile and afterwards, by the direct way and from the pool, each with his own answer. */
async function serves(): Promise<void> {
  await Promise.all(
    Array.from({ length: bystanders }, async (_, i) => {
      const session = await openSession(address(i % 2 === 0), known)
      known ??= session.stretched
      assert.equal(await askOnce(session, `select 'answer ${i}'`), `answer ${i}`)
      session.socket.destroy()
    }),
  )
}

async function assertBounded(): Promise<void> {
  const memoryMb = await residentMb(edge)
  assert.ok(memoryMb <= baseline.memoryMb + growthMb, `the edge has grown from ${baseline.memoryMb} to ${memoryMb} MB`)
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'connect')
  return socket
}

/** Whatever becomes of it, its own end of the connection is closed. */
async function stranger(act: (socket: Socket) => Promise<void>, port = server.pgPort): Promise<void> {
  const socket = await dial(port)
  try {
    await act(socket)
  } finally {
    socket.destroy()
  }
}

/** Leaves once the other side has had a moment to take it. */
async function sendAndLeave(socket: Socket, bytes: Buffer): Promise<void> {
  if (!socket.destroyed && !socket.write(bytes)) await drained(socket, 1000)
  await delay(5)
  socket.destroy()
}

async function flood(socket: Socket, megabytes: number): Promise<void> {
  const piece = Buffer.alloc(megabyte, 'x')
  for (let sent = 0; sent < megabytes && !socket.destroyed; sent++)
    if (!socket.write(piece) && !(await drained(socket, 5000))) return
}

/** False where it is closed, or takes nothing for so long. */
async function drained(socket: Socket, timeoutMs: number): Promise<boolean> {
  if (socket.destroyed) return false
  // What comes of an error is the close that follows it.
  const done = new AbortController()
  try {
    const { signal } = done
    return await Promise.race([
      once(socket, 'drain', { signal }).then(
        () => true,
        () => false,
      ),
      once(socket, 'close', { signal }).then(
        () => false,
        () => false,
      ),
      delay(timeoutMs, false, { signal }),
    ])
  } finally {
    done.abort()
  }
}

async function each(count: number, atOnce: number, act: () => Promise<void>): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) await act()
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

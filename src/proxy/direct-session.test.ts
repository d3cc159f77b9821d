import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { writeErrorResponse } from '../pgwire/error-fields.ts'
import { writeMessage } from '../pgwire/message.ts'
import { testPassword, testUser } from './test-support/postgres.ts'
import { testEndpoint, TestEdge, until } from './test-support/test-edge.ts'
import { RawClient } from './test-support/raw-client.ts'

let it: TestEdge
before(async () => {
  it = await TestEdge.start()
})
after(() => it[Symbol.asyncDispose]())

const rows = 100_000
const row = Buffer.from(`${'x'.repeat(1_023)}\n`)
const total = rows * row.length
/** What kernel buffers and streams along the way may hold. */
const bound = 16 * 1024 * 1024

const flowed = (direction: 'bytesToClient' | 'bytesFromClient'): number =>
  it.controlPlane.activity.get(testEndpoint)?.[direction] ?? 0

/** Waits until nothing flows any more, and returns how much did. */
async function standstill(direction: 'bytesToClient' | 'bytesFromClient', start: number): Promise<number> {
  await until('something flows', () => flowed(direction) > start)
  let [last, same] = [-1, 0]
  await until('it stands still', () => {
    same = flowed(direction) === last ? same + 1 : 0
    last = flowed(direction)
    return same > 60
  })
  return last - start
}

test('COPY of 100 MB to a client that stops reading waits in Postgres, not in memory', async () => {
  const client = await RawClient.logIn(it.port, testEndpoint)
  const start = flowed('bytesToClient')
  client.query(`COPY (SELECT repeat('x', 1023) FROM generate_series(1, ${rows})) TO STDOUT`)
  assert.equal((await client.until('H')).at(-1)?.type, 'H')
  assert.ok((await standstill('bytesToClient', start)) < bound)
  let read = 0
  for (let message = await client.next(); message.type !== 'Z'; message = await client.next()) {
    if (message.type === 'd') read += message.body.length
  }
  assert.equal(read, total)
  client.end()
})

test('COPY of 100 MB to a server that stops reading waits in the client', async () => {
  const client = await RawClient.logIn(it.port, testEndpoint)
  const pid = Number(await client.value('select pg_backend_pid()'))
  await client.value('CREATE TABLE copied (line text)')
  client.query('COPY copied FROM STDIN')
  await client.until('G')
  const start = flowed('bytesFromClient')
  process.kill(pid, 'SIGSTOP')
  const sent = (async () => {
    for (let n = 0; n < rows; n++) if (!client.send('d', row)) await once(client.socket, 'drain')
    client.send('c')
  })()
  try {
    assert.ok((await standstill('bytesFromClient', start)) < bound)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await sent
  await client.until('Z')
  assert.equal(await client.value('select sum(length(line) + 1) from copied'), String(total))
  client.end()
})

test('a client that is gone in the middle of a COPY takes its backend with it', async () => {
  const client = await RawClient.logIn(it.port, testEndpoint)
  const pid = await client.value('select pg_backend_pid()')
  client.query(`COPY (SELECT repeat('x', 1023) FROM generate_series(1, ${rows})) TO STDOUT`)
  await client.until('H')
  client.socket.destroy()
  const other = await RawClient.logIn(it.port, testEndpoint)
  await until('the backend is gone', async () => {
    return (await other.value(`select count(*) from pg_stat_activity where pid = ${pid}`)) === '0'
  })
  other.end()
  await until('all closed', () => it.edge.connections() === 0)
})

test('a compute that starts up is waited for, and the client never hears of it', async () => {
  // In the place of a Postgres: two refusals, then one that answers.
  const path = join(it.postgres.folder, 'starting', '.s.PGSQL.5432')
  await mkdir(join(it.postgres.folder, 'starting'))
  let asked = 0
  const starting = writeErrorResponse({
    severity: 'FATAL',
    sqlState: '57P03',
    message: 'the database system is starting up',
  })
  const refusing = writeErrorResponse({
    severity: 'FATAL',
    sqlState: '53300',
    message: 'sorry, too many clients already',
  })
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(++asked <= 8 ? starting : refusing))
  })
  server.listen(path)
  await once(server, 'listening')
  try {
    it.controlPlane.wakes.length = 0
    await assert.rejects(RawClient.logIn(it.port, 'ep-starting'), /too many clients/)
    assert.equal(asked, 9)
  } finally {
    server.close()
    await rm(path, { force: true })
  }
})

test('a compute that stops in the middle of a login does not leave the client without a word', async () => {
  const folder = join(it.postgres.folder, 'starting')
  const path = join(folder, '.s.PGSQL.5432')
  await mkdir(folder, { recursive: true })
  const sasl = writeMessage('R', Buffer.from('\0\0\0\x0aSCRAM-SHA-256\0\0', 'latin1'))
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(sasl)
      socket.once('data', () => socket.destroy())
    })
  })
  server.listen(path)
  await once(server, 'listening')
  try {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: it.port,
      user: testUser,
      database: 'postgres',
      password: testPassword,
      options: 'endpoint=ep-starting',
    })
    await assert.rejects(client.connect(), { code: '57P03', message: /stopped while the connection was being made/ })
  } finally {
    server.close()
    await rm(path, { force: true })
  }
})

test('a session that was idle is told why it ended, though its last message could no longer be delivered', async () => {
  const folder = join(it.postgres.folder, 'starting')
  const path = join(folder, '.s.PGSQL.5432')
  await mkdir(folder, { recursive: true })
  const authenticated = writeMessage('R', Buffer.alloc(4))
  const ready = writeMessage('Z', Buffer.from('I'))
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(Buffer.concat([authenticated, ready]))
      socket.once('data', () => socket.destroy())
    })
  })
  server.listen(path)
  await once(server, 'listening')
  try {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: it.port,
      user: testUser,
      database: 'postgres',
      password: testPassword,
      options: 'endpoint=ep-starting',
    })
    client.on('error', () => {})
    await client.connect()
    await assert.rejects(client.query('select 1'), { code: '57P01', message: /the compute was stopped/ })
  } finally {
    server.close()
    await rm(path, { force: true })
  }
})

test('a crash recovery is waited for', async () => {
  const client = await RawClient.logIn(it.port, testEndpoint)
  await client.value('CREATE TABLE IF NOT EXISTS copied (line text)')
  await client.value("INSERT INTO copied SELECT repeat('x', 100) FROM generate_series(1, 200000)")
  const closed = once(client.socket, 'close')
  client.socket.resume()
  await it.postgres.stop('SIGKILL')
  await closed
  // The postmaster's orphans hold on to the shared memory until they notice.
  await until('it is started again', () =>
    it.postgres.launch().then(
      () => true,
      () => false,
    ),
  )
  const again = await RawClient.logIn(it.port, testEndpoint)
  assert.equal(await again.value('select 1'), '1')
  again.end()
})

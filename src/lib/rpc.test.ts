import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { AppError, isAppError } from '../model/errors.ts'
import { connectRpc, serveRpc, type RpcClient, type RpcClientOptions, type RpcMethods } from './rpc.ts'

async function socketPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-rpc-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'rpc.sock')
}

async function connected(t: TestContext, path: string, options: RpcClientOptions = {}): Promise<RpcClient> {
  const client = connectRpc(path, options)
  t.after(() => client.close())
  await client.whenConnected(5_000)
  return client
}

async function served(t: TestContext, methods: RpcMethods): Promise<string> {
  const path = await socketPath(t)
  const server = await serveRpc(path, methods, { mode: 0o600 })
  t.after(() => server.close())
  return path
}

test('calls are answered, many at once and in any order', async (t) => {
  const gate = Promise.withResolvers<void>()
  const path = await served(t, {
    slow: () => gate.promise.then(() => 'slow'),
    double: async (params) => (params as { n: number }).n * 2,
    nothing: async () => undefined,
  })
  const client = await connected(t, path)
  const slow = client.call('slow', {})
  const doubles = await Promise.all(Array.from({ length: 1000 }, (_, n) => client.call('double', { n })))
  assert.deepEqual(
    doubles,
    Array.from({ length: 1000 }, (_, n) => n * 2),
  )
  assert.equal(await client.call('nothing', {}), null)
  gate.resolve()
  assert.equal(await slow, 'slow')
})

test('an AppError crosses as one, any other error without its text', async (t) => {
  const path = await served(t, {
    locked: () =>
      Promise.reject(new AppError('locked', 'wait', { apiCode: 'X', retryAfterSeconds: 1, cause: 'inner' })),
    broken: () => Promise.reject(new Error('the password is hunter2')),
  })
  const client = await connected(t, path)
  const locked = await client.call('locked', {}).catch((error: unknown) => error)
  assert.ok(isAppError(locked, 'locked'))
  assert.deepEqual(
    [locked.message, locked.apiCode, locked.retryAfterSeconds, locked.cause],
    ['wait', 'X', 1, undefined],
  )
  const broken = await client.call('broken', {}).catch((error: unknown) => error)
  assert.ok(isAppError(broken, 'internal'))
  assert.equal(broken.message, 'internal error')
  await assert.rejects(client.call('toString', {}), (error) => isAppError(error, 'not_implemented'))
})

test('calls fail at once while the server is away, and it is found again when it is back', async (t) => {
  const path = await socketPath(t)
  let connections = 0
  const client = connectRpc(path, { onConnected: () => connections++ })
  t.after(() => client.close())
  await assert.rejects(client.call('ping', {}), (error) => isAppError(error, 'unavailable'))
  await assert.rejects(client.whenConnected(30), (error) => isAppError(error, 'unavailable'))

  const first = await serveRpc(path, { never: () => new Promise(() => {}) }, { mode: 0o600 })
  await client.whenConnected(5_000)
  const lost = assert.rejects(client.call('never', {}), (error) => isAppError(error, 'unavailable'))
  await first.close()
  await lost
  await assert.rejects(client.call('ping', {}), (error) => isAppError(error, 'unavailable'))

  const second = await serveRpc(path, { ping: async () => 'pong' }, { mode: 0o600 })
  t.after(() => second.close())
  await client.whenConnected(5_000)
  assert.equal(await client.call('ping', {}), 'pong')
  assert.equal(connections, 2)
})

test('a call that takes too long is given up', async (t) => {
  const path = await served(t, { never: () => new Promise(() => {}) })
  const client = await connected(t, path)
  await assert.rejects(client.call('never', {}, { timeoutMs: 20 }), (error) => isAppError(error, 'unavailable'))
})

test('a push returns once every client has dealt with it', async (t) => {
  const path = await socketPath(t)
  const server = await serveRpc(path, { ping: async () => 'pong' }, { mode: 0o600 })
  t.after(() => server.close())
  const seen: unknown[] = []
  for (const name of ['a', 'b']) {
    const client = await connected(t, path, {
      onNotify: async (event, params) => {
        await Promise.resolve()
        seen.push([name, event, params])
      },
    })
    await client.call('ping', {})
  }
  await server.notify('changed', { id: 1 })
  assert.deepEqual(seen.map((one) => JSON.stringify(one)).sort(), [
    '["a","changed",{"id":1}]',
    '["b","changed",{"id":1}]',
  ])
})

test('a client that does not answer a push is cut off and holds nobody up', async (t) => {
  const path = await socketPath(t)
  const server = await serveRpc(path, { ping: async () => 'pong' }, { mode: 0o600 })
  t.after(() => server.close())
  const client = await connected(t, path, { onNotify: () => new Promise(() => {}) })
  await client.call('ping', {})
  await server.notify('changed', {}, 20)
  await client.whenConnected(5_000)
})

test('a question has the answers of those who could answer in time, and nobody is cut off over it', async (t) => {
  const path = await socketPath(t)
  const server = await serveRpc(path, { ping: async () => 'pong' }, { mode: 0o600 })
  t.after(() => server.close())
  assert.deepEqual(await server.ask('how many', {}, 1000), [])
  const answers = [
    (params: unknown) => (params as { n: number }).n * 2,
    () => Promise.resolve(5),
    () => Promise.reject(new Error('broken')),
    () => undefined,
    () => new Promise(() => {}),
  ]
  const clients: RpcClient[] = []
  for (const onNotify of answers) {
    const client = await connected(t, path, { onNotify: (_event, params) => onNotify(params) })
    await client.call('ping', {})
    clients.push(client)
  }
  assert.deepEqual(new Set(await server.ask('how many', { n: 21 }, 200)), new Set([42, 5]))
  for (const client of clients) assert.equal(await client.call('ping', {}), 'pong')
})

test('a client that goes away over a question holds nobody up', async (t) => {
  const path = await socketPath(t)
  const server = await serveRpc(path, { ping: async () => 'pong' }, { mode: 0o600 })
  t.after(() => server.close())
  const asked = Promise.withResolvers<void>()
  const client = await connected(t, path, {
    onNotify: () => {
      asked.resolve()
      return new Promise(() => {})
    },
  })
  await client.call('ping', {})
  const answers = server.ask('how many', {}, 60_000)
  await asked.promise
  client.close()
  assert.deepEqual(await answers, [])
})

test('a successor takes the place of a server that is still there', async (t) => {
  const path = await socketPath(t)
  const first = await serveRpc(path, { who: async () => 'first' }, { mode: 0o660 })
  const second = await serveRpc(path, { who: async () => 'second' }, { mode: 0o660 })
  t.after(() => second.close())
  await first.close()
  assert.equal((await stat(path)).mode & 0o777, 0o660)
  const client = await connected(t, path)
  assert.equal(await client.call('who', {}), 'second')
})

test('a line without end, or of nonsense, ends the connection', async (t) => {
  const path = await served(t, {})
  for (const text of ['nonsense\n', '[]\n', '{"id":"1"}\n', 'x'.repeat(3 * 1024 * 1024)]) {
    const socket = connect({ path })
    socket.on('error', () => {})
    socket.write(text)
    socket.resume()
    await new Promise((resolve) => socket.on('close', resolve))
  }
})

test('a server that talks nonsense is left and tried again', async (t) => {
  const path = await socketPath(t)
  const seen: Socket[] = []
  const server = createServer((socket) => {
    seen.push(socket)
    socket.on('error', () => {})
    socket.write('nonsense\n')
  })
  t.after(() => server.close())
  server.listen(path)
  await once(server, 'listening')
  const client = connectRpc(path)
  t.after(() => client.close())
  await once(server, 'connection')
  await once(server, 'connection')
})

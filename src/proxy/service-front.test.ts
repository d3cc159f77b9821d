import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ensureCertificates } from '../lib/certificates.ts'
import { silentLogger } from '../lib/logger.ts'
import type { ServiceName } from '../model/service-routes.ts'
import { startHttpFront } from './http.ts'
import { ServiceFront } from './service-front.ts'
import { anyPort, until } from './test-support/test-edge.ts'

type Front = { origin: string; services: ServiceFront; socket: string; wanted: ServiceName[] }

async function start(t: TestContext, trustedProxies: readonly string[] = []): Promise<Front> {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-services-'))
  const tls = await ensureCertificates(join(folder, 'tls'), { domains: ['db.test'] })
  const socket = join(folder, 'auth.sock')
  const wanted: ServiceName[] = []
  const services = new ServiceFront({
    domains: ['db.test'],
    sockets: { auth: socket, 'data-api': join(folder, 'data-api.sock') },
    want: (service) => wanted.push(service),
    trustedProxies,
    logger: silentLogger,
  })
  const front = await startHttpFront({
    http: anyPort,
    https: undefined,
    tls,
    controlHttpSocket: join(folder, 'control.sock'),
    services,
    trustedProxies,
    logger: silentLogger,
  })
  t.after(async () => {
    await front.close(0)
    services.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { origin: `http://127.0.0.1:${front.httpPort}`, services, socket, wanted }
}

async function service(t: TestContext, { socket }: Front, serve: RequestListener): Promise<Server> {
  const server = createServer(serve)
  server.listen(socket)
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return server
}

const mirror: RequestListener = (incoming, outgoing) => {
  incoming.setEncoding('utf8')
  let body = ''
  incoming.on('data', (text: string) => (body += text))
  incoming.on('end', () => outgoing.end(JSON.stringify({ url: incoming.url, headers: incoming.headers, body })))
}

type Mirrored = { url: string; headers: Record<string, string | undefined>; body: string }

async function seenOf(response: Promise<Response>): Promise<Mirrored> {
  return (await (await response).json()) as Mirrored
}

test('the first requests have a service started and wait for it, bodies included', async (t) => {
  const front = await start(t)
  const asked = [1, 2].map(() =>
    seenOf(fetch(`${front.origin}/ep-a/neondb/auth/sign-in/email?a=%2F`, { method: 'POST', body: 'text' })),
  )
  await until('it is wanted', () => front.wanted.length === 2)
  await service(t, front, mirror)
  front.services.changed('auth', true)
  for (const seen of await Promise.all(asked)) {
    assert.equal(seen.url, '/ep-a/neondb/auth/sign-in/email?a=%2F')
    assert.equal(seen.body, 'text')
  }
  await fetch(`${front.origin}/api/v1/users`)
  assert.equal(front.wanted.length, 2, 'then it is there')
})

test('what is for control is not for a service', async (t) => {
  const front = await start(t)
  assert.equal((await fetch(`${front.origin}/api/v2/projects`)).status, 503)
  assert.deepEqual(front.wanted, [])
})

test('a service that went away answers 503 and try again, and is asked for again', async (t) => {
  const front = await start(t)
  front.services.changed('auth', true)
  const away = await fetch(`${front.origin}/api/v1/users`, { method: 'POST', body: 'x'.repeat(500_000) })
  assert.equal(away.status, 503)
  assert.equal(away.headers.get('retry-after'), '1')
  assert.match(((await away.json()) as { message: string }).message, /sign-in is restarting/)
  const next = seenOf(fetch(`${front.origin}/api/v1/users`))
  await until('it is wanted again', () => front.wanted.length === 1)
  await service(t, front, mirror)
  front.services.changed('auth', true)
  assert.equal((await next).url, '/api/v1/users')
})

test('a client that gives up while it waits leaves nothing behind', async (t) => {
  const front = await start(t)
  const abort = new AbortController()
  const given = assert.rejects(fetch(`${front.origin}/api/v1/users`, { signal: abort.signal }))
  await until('it is wanted', () => front.wanted.length === 1)
  abort.abort()
  await given
  await until('nobody waits', () => front.services.waiting === 0)
  let served = 0
  await service(t, front, (_incoming, outgoing) => {
    served++
    outgoing.end()
  })
  front.services.changed('auth', true)
  await fetch(`${front.origin}/api/v1/users`)
  assert.equal(served, 1)
})

test('who the client is, only a trusted proxy may say, and of it only the last entry counts', async (t) => {
  const headers = { 'x-forwarded-for': '6.6.6.6, 203.0.113.9', 'x-forwarded-proto': 'https' }
  const table: [trusted: string[], headers: Record<string, string>, address: string, scheme: string][] = [
    [[], headers, '127.0.0.1', 'http'],
    [['10.0.0.0/8'], headers, '127.0.0.1', 'http'],
    [['10.0.0.0/8', '127.0.0.0/8'], headers, '203.0.113.9', 'https'],
    [['127.0.0.1'], { 'x-forwarded-for': '2001:db8::7' }, '2001:db8::7', 'http'],
    [['127.0.0.1'], { 'x-forwarded-for': '6.6.6.6, nonsense' }, '127.0.0.1', 'http'],
    [['127.0.0.1'], { 'x-forwarded-for': '6.6.6.6,' }, '127.0.0.1', 'http'],
    [['127.0.0.1'], {}, '127.0.0.1', 'http'],
    [['127.0.0.1'], { forwarded: 'for=6.6.6.6', 'x-real-ip': '6.6.6.6' }, '127.0.0.1', 'http'],
  ]
  for (const [trusted, sent, address, scheme] of table) {
    await t.test(`${trusted.join()} ${JSON.stringify(sent)}`, async (t) => {
      const front = await start(t, trusted)
      await service(t, front, mirror)
      front.services.changed('auth', true)
      const { headers: seen } = await seenOf(fetch(`${front.origin}/api/v1/x`, { headers: sent }))
      assert.equal(seen['x-forwarded-for'], address)
      assert.equal(seen['x-forwarded-proto'], scheme)
      assert.equal(seen['forwarded'], undefined)
      assert.equal(seen['x-real-ip'], undefined)
    })
  }
})

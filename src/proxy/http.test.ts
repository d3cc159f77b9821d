import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { request as requestTls } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ensureCertificates } from '../lib/certificates.ts'
import { silentLogger } from '../lib/logger.ts'
import { startHttpFront, type HttpFront } from './http.ts'
import { anyPort } from './test-support/test-edge.ts'

type Front = HttpFront & { controlHttpSocket: string; ca: string }

async function start(t: TestContext): Promise<Front> {
  const folder = await mkdtemp(join(tmpdir(), 'pgrove-http-'))
  const tls = await ensureCertificates(join(folder, 'tls'), { domains: ['db.test'] })
  const controlHttpSocket = join(folder, 'control.sock')
  const front = await startHttpFront({ http: anyPort, https: anyPort, tls, controlHttpSocket, logger: silentLogger })
  t.after(async () => {
    await front.close(0)
    await rm(folder, { recursive: true, force: true })
  })
  return { ...front, controlHttpSocket, ca: tls.cert }
}

async function control(t: TestContext, front: Front, serve: RequestListener): Promise<Server> {
  const server = createServer(serve)
  server.listen(front.controlHttpSocket)
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return server
}

async function textOf(message: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of message) text += String(chunk)
  return text
}

/** Answers with what it was asked. */
const mirror: RequestListener = (incoming, outgoing) => {
  void textOf(incoming).then((body) => {
    const { method, url, headers } = incoming
    outgoing.setHeader('set-cookie', ['a=1', 'b=2'])
    outgoing.end(JSON.stringify({ method, url, headers, body }))
  })
}

type Mirrored = { method: string; url: string; headers: Record<string, string | undefined>; body: string }

test('a request goes through and its answer comes back', async (t) => {
  const front = await start(t)
  await control(t, front, mirror)
  const response = await fetch(`http://127.0.0.1:${front.httpPort}/api/v2/projects?limit=1&x=%2F`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer key',
      'x-forwarded-for': '6.6.6.6',
      forwarded: 'for=6.6.6.6',
      'x-real-ip': '6.6.6.6',
    },
    body: '{"project":{}}',
  })
  const seen = (await response.json()) as Mirrored
  assert.equal(seen.method, 'POST')
  assert.equal(seen.url, '/api/v2/projects?limit=1&x=%2F')
  assert.equal(seen.body, '{"project":{}}')
  const { headers } = seen
  assert.equal(headers['authorization'], 'Bearer key')
  assert.equal(headers['host'], `127.0.0.1:${front.httpPort}`)
  assert.equal(headers['x-forwarded-host'], headers['host'])
  assert.equal(headers['x-forwarded-for'], '127.0.0.1')
  assert.equal(headers['x-forwarded-proto'], 'http')
  assert.equal(headers['forwarded'], undefined)
  assert.equal(headers['x-real-ip'], undefined)
  assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2'])
})

test('the same under TLS', async (t) => {
  const front = await start(t)
  await control(t, front, mirror)
  const outgoing = requestTls({ host: '127.0.0.1', port: front.httpsPort, path: '/x', rejectUnauthorized: false })
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  assert.equal((JSON.parse(await textOf(response)) as Mirrored).headers['x-forwarded-proto'], 'https')
})

test('while control is away the answer is 503 and try again, and then it works', async (t) => {
  const front = await start(t)
  const url = `http://127.0.0.1:${front.httpPort}/api/v2/projects`
  const away = await fetch(url)
  assert.equal(away.status, 503)
  assert.equal(away.headers.get('retry-after'), '1')
  assert.deepEqual(Object.keys((await away.json()) as object), ['code', 'message'])
  await control(t, front, mirror)
  assert.equal((await fetch(url)).status, 200)
})

test('a body goes on as it came: in chunks with any method, and large ones both ways', async (t) => {
  const front = await start(t)
  await control(t, front, mirror)
  for (const method of ['DELETE', 'GET', 'PUT']) {
    const headers = { 'transfer-encoding': 'chunked' }
    const outgoing = request({ host: '127.0.0.1', port: front.httpPort, path: '/x', method, headers })
    outgoing.end('GET /smuggled HTTP/1.1\r\n\r\n')
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    const seen = JSON.parse(await textOf(response)) as Mirrored
    assert.deepEqual([seen.method, seen.body], [method, 'GET /smuggled HTTP/1.1\r\n\r\n'])
  }
  const body = 'x'.repeat(20_000_000)
  const response = await fetch(`http://127.0.0.1:${front.httpPort}/x`, { method: 'PUT', body })
  assert.equal(((await response.json()) as Mirrored).body.length, body.length)
})

test('answers without a body stay so', async (t) => {
  const front = await start(t)
  await control(t, front, (incoming, outgoing) => {
    outgoing.statusCode = incoming.url === '/none' ? 204 : 200
    if (incoming.method === 'HEAD') outgoing.setHeader('content-length', '42')
    outgoing.end()
  })
  const head = await fetch(`http://127.0.0.1:${front.httpPort}/x`, { method: 'HEAD' })
  assert.equal(head.headers.get('content-length'), '42')
  assert.equal((await fetch(`http://127.0.0.1:${front.httpPort}/none`)).status, 204)
  assert.equal((await fetch(`http://127.0.0.1:${front.httpPort}/x`, { method: 'POST' })).status, 200)
})

test('headers of one connection stay on it', async (t) => {
  const front = await start(t)
  await control(t, front, mirror)
  const socket = connect({ port: front.httpPort, host: '127.0.0.1' })
  socket.write(
    'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret, Host, Authorization\r\nX-Secret: 1\r\nAuthorization: b\r\n' +
      'TE: trailers\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n',
  )
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  const { headers } = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as Mirrored
  assert.deepEqual(
    [
      headers['host'],
      headers['authorization'],
      headers['x-kept'],
      headers['x-secret'],
      headers['te'],
      headers['upgrade'],
    ],
    ['a', 'b', '1', undefined, undefined, undefined],
  )
})

test('connections to control are used again, and one that just closed does not matter', async (t) => {
  const front = await start(t)
  const server = await control(t, front, mirror)
  let connections = 0
  server.on('connection', () => connections++)
  const url = `http://127.0.0.1:${front.httpPort}/x`
  for (let n = 0; n < 20; n++) await (await fetch(url)).text()
  assert.equal(connections, 1)
  server.closeAllConnections()
  assert.equal((await fetch(url)).status, 200)
})

test('a client that leaves takes its request along, and a broken answer looks broken', async (t) => {
  const front = await start(t)
  const closed = Promise.withResolvers<void>()
  await control(t, front, (incoming, outgoing) => {
    if (incoming.url === '/wait') {
      outgoing.on('close', () => closed.resolve())
      outgoing.write('begun')
    } else {
      outgoing.setHeader('content-length', '100')
      outgoing.write('half', () => incoming.socket.destroy())
    }
  })
  const abort = new AbortController()
  const waiting = await fetch(`http://127.0.0.1:${front.httpPort}/wait`, { signal: abort.signal })
  assert.equal(waiting.status, 200)
  abort.abort()
  await closed.promise
  const broken = await fetch(`http://127.0.0.1:${front.httpPort}/broken`)
  await assert.rejects(broken.text())
})

test('a request that control broke off is not called safe to repeat', async (t) => {
  const front = await start(t)
  await control(t, front, (incoming) => void incoming.socket.destroy())
  const response = await fetch(`http://127.0.0.1:${front.httpPort}/x`, { method: 'POST', body: 'x' })
  assert.equal(response.status, 502)
})

test('headers without end are refused', async (t) => {
  const front = await start(t)
  await control(t, front, mirror)
  const socket = connect({ port: front.httpPort, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(100_000)}`)
  const [reply] = (await once(socket, 'data')) as [Buffer]
  assert.match(String(reply), /^HTTP\/1\.1 431/)
})

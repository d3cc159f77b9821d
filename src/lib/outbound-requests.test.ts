import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { assertOutboundUrl, requestOutbound } from './outbound-requests.ts'

const limits = { timeoutMs: 5_000, mostBytes: 1_000 }

async function listening(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

test('the open internet over TLS may be named by anybody', () => {
  for (const text of [
    'https://example.com',
    'https://example.com:8443/hook?a=b',
    'https://93.184.216.34/',
    'https://[2606:2800:220:1:248:1893:25c8:1946]/',
    'https://münchen.example/',
  ]) {
    for (const privateAllowed of [true, false]) assert.ok(assertOutboundUrl(text, { privateAllowed }), text)
  }
})

test('what is private may be named by those who may, over http too; nobody else', () => {
  for (const text of [
    'http://localhost:3000/hook',
    'http://127.0.0.1:3000/',
    'http://127.1/',
    'http://0x7f000001/',
    'http://[::1]:3000/',
    'http://10.0.0.7/',
    'http://[fd12::1]/',
    'http://app:3000/',
    'http://app.localhost/',
    'http://app.internal./',
    'https://192.168.1.1/',
    'https://localhost./',
  ]) {
    assert.ok(assertOutboundUrl(text, { privateAllowed: true }), text)
    assert.throws(() => assertOutboundUrl(text, { privateAllowed: false }), { code: 'bad_request' }, text)
  }
})

test('what nobody may name is refused with its reason and the name of the field', () => {
  for (const [text, reason] of [
    ['', /no URL/],
    ['nonsense', /no URL/],
    ['ftp://example.com/', /scheme is ftp:/],
    ['file:///etc/passwd', /scheme is file:/],
    ['http://example.com/', /scheme is http:/],
    ['http://127.0.0.1.example.com/', /scheme is http:/],
    ['https://user:secret@example.com/', /credentials/],
    ['https://example.com/#there', /fragment/],
    ['https://169.254.169.254/latest/meta-data', /no service/],
    ['http://[::ffff:169.254.169.254]/', /no service/],
    ['http://[::ffff:127.0.0.1]/', /no service/],
    ['http://0.0.0.0/', /no service/],
    ['http://0/', /no service/],
    ['http://[fe80::1]/', /no service/],
    ['http://[fd00:ec2::254]/', /no service/],
    [`https://example.com/${'x'.repeat(2048)}`, /no URL/],
  ] as const) {
    assert.throws(
      () => assertOutboundUrl(text, { privateAllowed: true, field: 'hook_url' }),
      { code: 'bad_request', message: new RegExp(`^hook_url must be an https URL.*${reason.source}`) },
      text,
    )
    assert.throws(() => assertOutboundUrl(text, { privateAllowed: false }), { code: 'bad_request' }, text)
  }
})

test('a name that leads inside is refused when it is connected to, whatever it led to before', async (t) => {
  let asked = 0
  const port = await listening(t, (_, response) => {
    asked++
    response.end('inside')
  })
  for (const addresses of [
    ['127.0.0.1'],
    ['93.184.216.34', '10.0.0.1'],
    ['169.254.169.254'],
    ['::ffff:127.0.0.1'],
    ['::1'],
  ]) {
    const request = requestOutbound(`https://rebound.example:${port}/`, {
      privateAllowed: false,
      resolve: async () => addresses,
      ...limits,
    })
    await assert.rejects(request, { code: 'bad_request', message: /may not be used/ })
  }
  const metadata = requestOutbound(`https://metadata.example/`, {
    privateAllowed: true,
    resolve: async () => ['169.254.169.254'],
    ...limits,
  })
  await assert.rejects(metadata, { code: 'bad_request' })
  assert.equal(asked, 0)
})

test('plain http goes to one’s own network only, also by a name', async (t) => {
  const port = await listening(t, (_, response) => response.end('inside'))
  const ask = (addresses: string[]): Promise<{ status: number; body: string }> =>
    requestOutbound(`http://app:${port}/`, { privateAllowed: true, resolve: async () => addresses, ...limits })
  assert.deepEqual(await ask(['127.0.0.1']), { status: 200, body: 'inside' })
  await assert.rejects(ask(['93.184.216.34']), { code: 'bad_request' })
})

test('the connection goes to the address that was checked, under the name that was asked for', async (t) => {
  const seen: unknown[] = []
  const port = await listening(t, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      seen.push(
        request.method,
        request.url,
        request.headers.host,
        Buffer.concat(chunks).toString(),
        request.headers['x-a'],
      )
      response.writeHead(202).end('thanks')
    })
  })
  const answer = await requestOutbound(`http://hooks.internal:${port}/here?x=1`, {
    privateAllowed: true,
    method: 'POST',
    body: '{"ä":1}',
    headers: { 'x-a': 'b' },
    resolve: async () => ['127.0.0.1'],
    ...limits,
  })
  assert.deepEqual(answer, { status: 202, body: 'thanks' })
  assert.deepEqual(seen, ['POST', '/here?x=1', `hooks.internal:${port}`, '{"ä":1}', 'b'])
})

test('under TLS the server is told the name, and has to prove it', async (t) => {
  const hello = Promise.withResolvers<Buffer>()
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (chunk) => {
      hello.resolve(chunk)
      socket.end('no TLS here')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const request = requestOutbound(`https://keys.internal:${(server.address() as AddressInfo).port}/`, {
    privateAllowed: true,
    resolve: async () => ['127.0.0.1'],
    ...limits,
  })
  await assert.rejects(request, { code: 'unavailable' })
  assert.ok((await hello.promise).includes('keys.internal'))
})

test('a redirect is not followed, a long answer not read, a slow one not waited for', async (t) => {
  const paths: string[] = []
  const port = await listening(t, (request, response) => {
    paths.push(request.url ?? '')
    if (request.url === '/redirect') return response.writeHead(302, { location: '/elsewhere' }).end()
    if (request.url === '/large') return response.end('x'.repeat(2_000))
    response.writeHead(200).write('some')
  })
  const ask = (path: string, timeoutMs = 5_000): Promise<{ status: number }> =>
    requestOutbound(`http://127.0.0.1:${port}${path}`, { privateAllowed: true, ...limits, timeoutMs })
  assert.equal((await ask('/redirect')).status, 302)
  await assert.rejects(ask('/large'), { code: 'unavailable' })
  await assert.rejects(ask('/slow', 50), { code: 'unavailable' })
  assert.deepEqual(paths, ['/redirect', '/large', '/slow'])
  const unresolved = requestOutbound('https://slow.example/', {
    privateAllowed: false,
    resolve: () => new Promise(() => {}),
    ...limits,
    timeoutMs: 50,
  })
  await assert.rejects(unresolved, { code: 'unavailable' })
})

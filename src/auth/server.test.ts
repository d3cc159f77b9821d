import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { silentLogger } from '../lib/logger.ts'
import type { AuthTarget } from '../model/auth-target.ts'
import { AppError } from '../model/errors.ts'
import type { AuthControlPlane, AuthControlPlaneEvents, TargetChanged } from './control-plane.ts'
import type { AuthInstance, AuthRequest } from './instance.ts'
import { Instances } from './instances.ts'
import { createAuthServer, type Surfaces } from './server.ts'

const id = '0f8fad5b-d9cb-469f-a165-70867728950e'

type Plane = { instances: Instances; changed: (changed: TargetChanged) => void; version: number; asked: number }

function fakeInstances(): Plane {
  const controlPlane: AuthControlPlane & AuthControlPlaneEvents = {
    findTarget: async (name) => {
      plane.asked++
      if (name.kind === 'endpoint' && name.endpointId !== 'ep-a') return undefined
      return {
        integrationId: name.kind === 'project' ? name.id : id,
        endpointId: 'ep-a',
        version: plane.version,
        database: 'my db',
        baseUrl: 'http://sign-in.test/ep-a/my%20db/auth',
      } as AuthTarget
    },
    wake: () => Promise.reject(new AppError('unavailable', 'no')),
    sendMail: async () => {},
    recordEvents: async () => {},
    onTargetChanged: (listener) => void (plane.changed = listener),
  }
  const shared = {} as Pick<AuthInstance, 'developmentProvider' | 'passwords' | 'limits'>
  const plane: Plane = { instances: undefined as unknown as Instances, changed: () => {}, version: 1, asked: 0 }
  plane.instances = new Instances({ controlPlane, role: 'r', shared, logger: silentLogger })
  return plane
}

async function start(t: TestContext, surfaces: Partial<Surfaces>): Promise<number> {
  const nothing = async (): Promise<Response> => new Response()
  const server = createAuthServer({
    instances: fakeInstances().instances,
    domains: ['db.test'],
    surfaces: { betterAuth: nothing, stack: nothing, ...surfaces },
    logger: silentLogger,
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

test('a surface gets its integration and the request below its root, and none of what the client calls us', async (t) => {
  const seen: [AuthInstance, AuthRequest][] = []
  const port = await start(t, {
    betterAuth: async (instance, request) => {
      seen.push([instance, request])
      const headers = new Headers({ 'x-a': '1' })
      headers.append('set-cookie', 'a=1')
      headers.append('set-cookie', 'b=2')
      return new Response(await request.request.text(), { status: 201, headers })
    },
  })
  const response = await fetch(`http://127.0.0.1:${port}/ep-a/my%20db/auth/sign-in/email?x=1`, {
    method: 'POST',
    headers: { 'x-forwarded-host': 'evil.test', 'x-forwarded-for': '203.0.113.7', cookie: 'c=1; d=2' },
    body: 'a body',
  })
  assert.equal(response.status, 201)
  assert.equal(await response.text(), 'a body')
  assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2'])
  const [instance, { path, request, clientAddress }] = seen[0] ?? assert.fail()
  assert.equal(instance.target.integrationId, id)
  assert.equal(path, '/sign-in/email?x=1')
  assert.equal(request.url, 'http://sign-in.test/ep-a/my%20db/auth/sign-in/email?x=1')
  assert.equal(request.headers.get('cookie'), 'c=1; d=2')
  assert.equal(clientAddress, '203.0.113.7')
})

test('Stack finds its integration itself', async (t) => {
  const port = await start(t, {
    stack: async ({ findInstance }, { path, request }) => {
      const found = await findInstance({ kind: 'project', id })
      return Response.json([found?.target.integrationId, path, request.url])
    },
  })
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/users/me`)
  assert.deepEqual(await response.json(), [id, '/users/me', 'http://stack.invalid/api/v1/users/me'])
})

test('a defect says nothing, a refusal what it has to say', async (t) => {
  const port = await start(t, {
    betterAuth: async () => {
      throw new Error('a secret of ours')
    },
    stack: async () => {
      throw new AppError('unavailable', 'later', { retryAfterSeconds: 2.4 })
    },
  })
  const defect = await fetch(`http://127.0.0.1:${port}/ep-a/x/auth/ok`)
  assert.equal(defect.status, 500)
  assert.doesNotMatch(await defect.text(), /secret/)
  const refusal = await fetch(`http://127.0.0.1:${port}/api/v1/x`)
  assert.equal(refusal.status, 503)
  assert.equal(refusal.headers.get('retry-after'), '3')
  assert.equal(refusal.headers.get('cache-control'), 'no-store')
  assert.equal((await fetch(`http://127.0.0.1:${port}/ep-b/x/auth/ok`)).status, 404)
  assert.equal((await fetch(`http://127.0.0.1:${port}/other`)).status, 404)
})

test('a body has a bound, whether it says its length or not', async (t) => {
  let calls = 0
  const port = await start(t, {
    stack: async () => {
      calls++
      return new Response()
    },
  })
  for (const headers of [{ 'content-length': 2_000_000 }, { 'transfer-encoding': 'chunked' }]) {
    const outgoing = httpRequest({ port, path: '/api/v1/x', method: 'POST', headers })
    outgoing.on('error', () => {})
    for (let sent = 0; sent < 20; sent++) outgoing.write('x'.repeat(100_000))
    outgoing.end()
    const status = await new Promise<number | undefined>((resolve) => {
      outgoing.on('response', (response) => resolve(response.statusCode))
    })
    assert.equal(status, 413)
  }
  assert.equal(calls, 0)
})

test('whoever hangs up is not worked for any longer', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const started = Promise.withResolvers<void>()
  const port = await start(t, {
    stack: async (_services, { request }) => {
      request.signal.addEventListener('abort', () => resolve())
      started.resolve()
      return await new Promise<Response>(() => {})
    },
  })
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /api/v1/x HTTP/1.1\r\nhost: a\r\n\r\n')
  await started.promise
  socket.destroy()
  await promise
})

test('methods that a request of the web cannot have lead nowhere', async (t) => {
  const port = await start(t, {})
  const socket = connect(port, '127.0.0.1')
  socket.write('TRACE /api/v1/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.match(String(answer), /^HTTP\/1\.1 404 /)
})

test('an integration is one as long as it does not change, and where its compute is changes nothing', async () => {
  const plane = fakeInstances()
  const { instances } = plane
  const first = await instances.find({ kind: 'project', id })
  assert.equal(await instances.find({ kind: 'endpoint', endpointId: 'ep-a', database: 'my db' }), first)
  plane.changed({ endpointId: 'ep-a', what: 'address' })
  assert.equal(await instances.find({ kind: 'project', id }), first)
  plane.version = 2
  plane.changed({ integrationId: id, what: 'all' })
  const second = await instances.find({ kind: 'project', id })
  assert.notEqual(second, first)
  assert.equal(second?.target.version, 2)
  plane.changed({ what: 'all' })
  assert.notEqual(await instances.find({ kind: 'project', id }), second, 'control may have forgotten to tell')
})

test('there are so many at a time, and those that were used last stay', async () => {
  const { instances } = fakeInstances()
  const nameOf = (at: number): string => `${String(at).padStart(8, '0')}-d9cb-469f-a165-70867728950e`
  const kept = await instances.find({ kind: 'project', id: nameOf(0) })
  const left = await instances.find({ kind: 'project', id: nameOf(1) })
  for (let at = 2; at <= 200; at++) {
    await instances.find({ kind: 'project', id: nameOf(at) })
    assert.equal(await instances.find({ kind: 'project', id: nameOf(0) }), kept)
  }
  assert.notEqual(await instances.find({ kind: 'project', id: nameOf(1) }), left)
})

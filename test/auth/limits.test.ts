// How often somebody may ask, through a started server and from addresses of this machine's own.

import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { json } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { makeAuthApp, type AuthApp } from '../support/auth-app.ts'
import { startServer, type TestServer } from '../support/server.ts'

const password = 'correct horse battery'

let server: TestServer
let app: AuthApp

before(async () => {
  server = await startServer({
    env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,1', PGROVE_RATE_LIMIT: '700/min,40/s' },
  })
  app = await makeAuthApp(server)
})
after(() => server[Symbol.asyncDispose]())

type Reply = { status: number; retryAfter: string | undefined; body: unknown }

/** From an address of this machine's own, as another machine would ask. */
function post(path: string, body: unknown, from: string, headers: Record<string, string> = {}): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const sent = httpRequest(
    `${server.origin}${path}`,
    { method: 'POST', localAddress: from, headers: { 'content-type': 'application/json', ...headers }, agent: false },
    (response) => {
      json(response).then(
        (answer) =>
          resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], body: answer }),
        reject,
      )
    },
  )
  sent.on('error', reject)
  sent.end(JSON.stringify(body))
  return promise
}

const stack = (path: string, body: unknown, from: string, headers: Record<string, string> = {}): Promise<Reply> =>
  post(`/api/v1${path}`, body, from, {
    'x-stack-access-type': 'client',
    'x-stack-project-id': app.id,
    'x-stack-publishable-client-key': app.publishableKey,
    ...headers,
  })

const betterAuth = (path: string, body: unknown, from: string): Promise<Reply> =>
  post(`/${app.project.endpointId}/${app.project.database}/auth${path}`, body, from, {
    origin: 'http://localhost:3000',
  })

const signIn = (email: string, given: string, from: string, headers?: Record<string, string>): Promise<Reply> =>
  stack('/auth/password/sign-in', { email, password: given }, from, headers)

function assertRefused(reply: Reply): void {
  assert.equal(reply.status, 429, JSON.stringify(reply.body))
  assert.ok(Number(reply.retryAfter) >= 1, 'who is refused hears when to come again')
}

test('one address signs in so often; another is not kept from it; what it says of itself changes nothing', async () => {
  const from = '127.0.0.10'
  // At once, and of the kind that hashes nothing: however slow a machine is, they come faster than their budget grows.
  const replies = await Promise.all(
    Array.from({ length: 30 }, (_, i) => {
      const headers = { 'x-forwarded-for': `203.0.113.${i}`, 'x-real-ip': `203.0.113.${i}` }
      return stack('/auth/otp/sign-in', { code: `nobody-has-this-code-${i}`.padEnd(45, '0') }, from, headers)
    }),
  )
  const refused = replies.filter(({ status }) => status === 429)
  assert.ok(refused.length > 0)
  for (const reply of refused) assertRefused(reply)
  assert.equal((await signIn('nobody@example.com', 'wrong wrong', '127.0.0.11')).status, 400)
  // The same address with a password, and at the other surface.
  const again = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      const [email, given] = [`nobody${i}@example.com`, 'wrong wrong']
      return i % 2 === 0
        ? await signIn(email, given, from)
        : await betterAuth('/sign-in/email', { email, password: given }, from)
    }),
  )
  for (const surface of [0, 1]) {
    const refusedThere = again.filter(({ status }, i) => i % 2 === surface && status === 429)
    assert.ok(refusedThere.length > 0, `surface ${surface}`)
    for (const reply of refusedThere) assertRefused(reply)
  }
})

test('who is wrong about an account too often waits, right or not, on either surface; others do not', async () => {
  const email = 'owner@example.com'
  assert.equal((await stack('/auth/password/sign-up', { email, password }, '127.0.0.20')).status, 200)
  const from = '127.0.0.21'
  for (let i = 0; i < 3; i++) assert.equal((await signIn(email, 'wrong wrong', from)).status, 400)
  for (let i = 0; i < 2; i++) {
    const { status } = await betterAuth('/sign-in/email', { email: 'OWNER@example.com', password: 'wrong wrong' }, from)
    assert.equal(status, 401)
  }
  const [here, there] = await Promise.all([
    signIn(email, password, from),
    betterAuth('/sign-in/email', { email, password }, from),
  ])
  assertRefused(here)
  assertRefused(there)
  assert.equal((await signIn(email, password, '127.0.0.22')).status, 200)
})

test('an account that nobody has is counted as one that somebody has', async () => {
  const from = '127.0.0.30'
  for (let i = 0; i < 5; i++) assert.equal((await signIn('unknown@example.com', 'wrong wrong', from)).status, 400)
  assertRefused(await signIn('unknown@example.com', 'wrong wrong', from))
})

test('who guesses from everywhere does not keep the owner out from where he has been', async () => {
  const email = 'besieged@example.com'
  const home = '127.0.0.40'
  assert.equal((await stack('/auth/password/sign-up', { email, password }, home)).status, 200)
  assert.equal((await signIn(email, password, home)).status, 200)
  for (let i = 0; i < 30; i++) await signIn(email, 'wrong wrong', `127.0.1.${i}`)
  assertRefused(await signIn(email, password, '127.0.0.41'))
  assert.equal((await signIn(email, password, home)).status, 200)
})

test('more passwords at once than can be hashed are refused, and everything else goes on', async () => {
  const flood = Array.from({ length: 80 }, (_, i) => signIn(`flood${i}@example.com`, 'wrong wrong', `127.0.2.${i}`))
  const keySet = await fetch(`${server.origin}/api/v1/projects/${app.id}/.well-known/jwks.json`)
  assert.equal(keySet.status, 200)
  const replies = await Promise.all(flood)
  const refused = replies.filter(({ status }) => status === 429)
  assert.ok(refused.length > 0, 'some found no room')
  for (const reply of refused) assertRefused(reply)
  assert.ok(replies.every(({ status }) => status === 429 || status === 400))
  assert.ok(
    replies.some(({ status }) => status === 400),
    'and some did',
  )
})

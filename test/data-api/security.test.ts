// Who a request is, and that nothing of one is left for the next. That no text of a request becomes SQL: `injection.test.ts`.

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { TestEngine, tokenOf } from './support/engine.ts'

let engine: TestEngine
before(async () => {
  engine = await TestEngine.start({ jwtAud: 'app' })
})
after(() => engine[Symbol.asyncDispose]())

test('each sees his own', async () => {
  const seen = async (sub: string): Promise<unknown> =>
    (await engine.ask('/secrets?select=text', { as: { role: 'authenticated', sub } })).json
  assert.deepEqual(
    [await seen('ada'), await seen('bob'), await seen('eve')],
    [[{ text: 'mine' }], [{ text: 'his' }], []],
  )
  assert.equal((await engine.ask('/secrets')).status, 401)
})

const seconds = (): number => Math.floor(Date.now() / 1000)

test('tokens that are none', async () => {
  const refused = async (token: string): Promise<[number, string, string, string | null]> => {
    const { status, json, headers } = await engine.ask('/clubs?limit=1', {
      headers: { authorization: `Bearer ${token}` },
    })
    const { code, message } = json as { code: string; message: string }
    return [status, code, message, headers.get('www-authenticate')?.slice(0, 28) ?? null]
  }
  const challenge = 'Bearer error="invalid_token"'
  const role = 'authenticated'
  const none = Buffer.from('{"alg":"none"}').toString('base64url')
  assert.deepEqual(await refused('a.b'), [401, 'PGRST301', 'Expected 3 parts in JWT; got 2', challenge])
  assert.equal((await refused(`${none}.${Buffer.from('{"role":"postgres"}').toString('base64url')}.`))[0], 401)
  assert.deepEqual((await refused(await tokenOf({ role }, 'another secret of thirty-two characters'))).slice(0, 3), [
    401,
    'PGRST301',
    'JWT cryptographic operation failed',
  ])
  assert.deepEqual((await refused(await tokenOf({ role, exp: seconds() - 60 }))).slice(0, 3), [
    401,
    'PGRST303',
    'JWT expired',
  ])
  assert.deepEqual((await refused(await tokenOf({ role, nbf: seconds() + 60 }))).slice(0, 3), [
    401,
    'PGRST303',
    'JWT not yet valid',
  ])
  assert.deepEqual((await refused(await tokenOf({ role, aud: 'other' }))).slice(0, 3), [
    401,
    'PGRST303',
    'JWT not in audience',
  ])
  assert.equal((await engine.ask('/clubs?limit=1', { as: { role, aud: 'app', exp: seconds() + 60 } })).status, 200)
  assert.equal(
    (await engine.ask('/clubs?limit=1', { as: { role, exp: seconds() - 20 } })).status,
    200,
    'clocks differ a little',
  )
  // Nobody becomes what the login may not be.
  assert.equal((await engine.ask('/clubs', { as: { role: 'postgres' } })).status, 403)
  assert.equal((await engine.ask('/clubs', { as: { role: 'nobody at all' } })).status, 401)
})

test('without an anonymous role there is nobody', async () => {
  await using closed = await TestEngine.start({ dbAnonRole: undefined })
  const { status, json, headers } = await closed.ask('/clubs')
  assert.deepEqual(
    [status, (json as { code: string }).code, headers.get('www-authenticate')],
    [401, 'PGRST302', 'Bearer'],
  )
})

test('a role, a claim or a setting is never the next one’s, whatever happens in between', async () => {
  const { port } = new URL(engine.origin)
  const token = await tokenOf({ role: 'authenticated', sub: 'ada' })
  const rounds = Array.from({ length: 60 }, async (_, i) => {
    switch (i % 6) {
      case 0:
        return await engine.ask('/secrets?text=eq.mine', { as: { role: 'authenticated', sub: 'ada' } })
      case 1:
        return await engine.ask('/members?id=eq.x', { as: { role: 'authenticated', sub: 'ada' } })
      case 2:
        return await engine.ask('/rpc/fails', { method: 'POST', body: {}, as: { role: 'authenticated', sub: 'ada' } })
      case 3: {
        // Somebody who hangs up.
        const socket = connect(Number(port), '127.0.0.1')
        socket.on('error', () => {})
        socket.write(`GET /secrets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`, () =>
          socket.destroy(),
        )
        return undefined
      }
      default: {
        const { status, json } = await engine.ask('/rpc/whoami')
        assert.deepEqual([status, json], [200, 'anonymous anonymous'])
        return await engine.ask('/secrets').then((answer) => assert.equal(answer.status, 401))
      }
    }
  })
  await Promise.all(rounds)
  for (let i = 0; i < 10; i++) assert.equal((await engine.ask('/rpc/whoami')).json, 'anonymous anonymous')
})

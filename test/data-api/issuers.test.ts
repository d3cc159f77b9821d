// Whose tokens the Data API of a branch takes, beside those of the branch's own sign-in.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'
import { ask, dataApiPath, urlOf } from '../support/data-api-app.ts'
import { makeProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
})
after(() => server?.[Symbol.asyncDispose]())

type Issuer = {
  url: string
  sign: (claims: Record<string, unknown>, alg?: string) => Promise<string>
  asked: number
} & AsyncDisposable

async function openIssuer(): Promise<Issuer> {
  const keys = new Map<string, { privateKey: CryptoKey; jwk: JWK }>()
  for (const alg of ['EdDSA', 'ES256', 'RS256', 'PS256']) {
    const pair = await generateKeyPair(alg, { extractable: true })
    keys.set(alg, { privateKey: pair.privateKey, jwk: { ...(await exportJWK(pair.publicKey)), kid: alg, alg } })
  }
  const issuer = { asked: 0 }
  const http = createServer((_incoming, outgoing) => {
    issuer.asked++
    outgoing.end(JSON.stringify({ keys: [...keys.values()].map(({ jwk }) => jwk) }))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return Object.assign(issuer, {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks.json`,
    async sign(claims: Record<string, unknown>, alg = 'ES256') {
      const key = keys.get(alg)
      assert.ok(key)
      return await new SignJWT(claims)
        .setProtectedHeader({ alg, kid: alg })
        .setExpirationTime('5 minutes')
        .sign(key.privateKey)
    },
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => http.close(() => resolve()))
    },
  })
}

test('tokens of a provider elsewhere: every algorithm, audiences, and its key set goes with the Data API', async () => {
  await using issuer = await openIssuer()
  const project = await makeProject(server)
  const path = dataApiPath(project, project.branchId)
  const enabled = await request(server, 'POST', path, {
    auth_provider: 'external',
    jwks_url: issuer.url,
    provider_name: 'Mine',
    jwt_audience: 'my-app',
    add_default_grants: true,
  })
  assert.equal(enabled.status, 201, JSON.stringify(enabled.body))
  await query(project.uri, 'CREATE TABLE things (id int)')
  const things = `${urlOf(server, project.endpointId, project.database)}/things`
  const role = 'authenticated'
  for (const alg of ['EdDSA', 'ES256', 'RS256', 'PS256'])
    assert.equal((await ask(things, { token: await issuer.sign({ role, sub: alg }, alg) })).status, 200, alg)
  assert.equal(issuer.asked, 1)
  assert.equal((await ask(things, { token: await issuer.sign({ role, aud: 'my-app' }) })).status, 200)
  const other = await ask(things, { token: await issuer.sign({ role, aud: 'another' }) })
  assert.deepEqual([other.status, (other.json as { code: string }).code], [401, 'PGRST303'])
  assert.equal((await ask(things, { token: await issuer.sign({ sub: 'no role' }) })).status, 403)
  const foreign = await ask(things, { token: await issuer.sign({ role: 'pgrove_service' }) })
  assert.ok(foreign.status === 403 || foreign.status === 401, foreign.text)

  const sets = (await request(server, 'GET', `/projects/${project.id}/jwks`)).body['jwks'] as {
    id: string
    jwks_url: string
  }[]
  assert.deepEqual(
    sets.map(({ jwks_url }) => jwks_url),
    [issuer.url],
  )
  const removed = await request(server, 'DELETE', `/projects/${project.id}/jwks/${sets[0]?.id}`)
  assert.equal(removed.status, 422)
  assert.match(String(removed.body['message']), /data-api/)
  assert.deepEqual((await request(server, 'DELETE', path)).body, {})
  assert.equal((await ask(things, { token: await issuer.sign({ role }) })).status, 404)
  assert.deepEqual((await request(server, 'GET', `/projects/${project.id}/jwks`)).body['jwks'], [])
})

test('key sets of the project: their audience is required, and they are for the roles that they name', async () => {
  await using issuer = await openIssuer()
  const project = await makeProject(server)
  const enabled = await request(server, 'POST', dataApiPath(project, project.branchId), { add_default_grants: true })
  assert.equal(enabled.status, 201, JSON.stringify(enabled.body))
  await query(project.uri, 'CREATE TABLE things (id int)')
  const added = await request(server, 'POST', `/projects/${project.id}/jwks`, {
    jwks_url: issuer.url,
    provider_name: 'Mine',
    jwt_audience: 'notes',
    role_names: ['authenticated'],
  })
  assert.equal(added.status, 201, JSON.stringify(added.body))
  const as = async (claims: Record<string, unknown>): Promise<number> =>
    (await ask(`${urlOf(server, project.endpointId, project.database)}/things`, { token: await issuer.sign(claims) }))
      .status
  assert.equal(await as({ role: 'authenticated', aud: 'notes', sub: 'somebody' }), 200)
  assert.equal(await as({ role: 'authenticated', sub: 'somebody' }), 401)
  assert.equal(await as({ role: 'anonymous', aud: 'notes' }), 401)
  const { id } = added.body['jwks'] as { id: string }
  assert.equal((await request(server, 'DELETE', `/projects/${project.id}/jwks/${id}`)).status, 200)
  assert.equal(await as({ role: 'authenticated', aud: 'notes', sub: 'somebody' }), 401)
})

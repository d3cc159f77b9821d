// Key sets of a project, and what a token that one of them signed is good for.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, test, type TestContext } from 'node:test'
import type { AddressInfo } from 'node:net'
import { SignJWT, exportJWK, generateKeyPair, type CryptoKey, type JWK, type JWTPayload } from 'jose'
import { deriveKeys, opens } from '../../src/pgwire/scram-keys.ts'
import { readVerifier } from '../../src/pgwire/scram-verifier.ts'
import { connectAsEdge } from '../support/edge-peer.ts'
import { makeOrganization, makeOrganizationKey, makeUser, organizationNamed } from '../support/accounts.ts'
import { assertRefused, makeChild, makeProject, settled, type NeonApi } from '../support/neon.ts'
import { addMember } from '../support/organizations.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

type Publisher = { url: string; asked: number; sign(claims?: JWTPayload, how?: Signing): Promise<string> }
type Signing = { kid?: string; key?: CryptoKey | Uint8Array; alg?: string; expires?: string | false }

/** Publishes one key on this machine, and signs with it. */
async function publisher(t: TestContext, alg = 'EdDSA'): Promise<Publisher> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const key: JWK = { ...(await exportJWK(publicKey)), kid: 'first', alg }
  const http = createServer((request, response) => {
    made.asked++
    if (request.url === '/redirect') return response.writeHead(302, { location: '/keys' }).end()
    if (request.url === '/large') return response.end(`{"keys":[],"x":"${'x'.repeat(100_000)}"}`)
    return response.end(JSON.stringify({ keys: [key] }))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise((resolve) => http.close(resolve)))
  const made: Publisher = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    asked: 0,
    async sign(claims = { sub: 'somebody' }, how = {}) {
      const jwt = new SignJWT(claims).setProtectedHeader({ alg: how.alg ?? alg, kid: how.kid ?? 'first' })
      if (how.expires !== false) jwt.setExpirationTime(how.expires ?? '1h')
      return await jwt.sign(how.key ?? privateKey)
    },
  }
  return made
}

const provider = { provider_name: 'Somebody' }

test('a key set is added, listed and taken away again', async () => {
  const project = await makeProject(server)
  const asked = {
    jwks_url: 'https://example.com/.well-known/jwks.json',
    ...provider,
    branch_id: project.branchId,
    jwt_audience: 'app',
    role_names: ['authenticated'],
  }
  const { data, status } = await api.addProjectJwks(project.id, asked)
  assert.equal(status, 201)
  assert.deepEqual(data.operations, [])
  const { id, project_id, created_at, updated_at, ...rest } = data.jwks
  assert.deepEqual(rest, asked)
  assert.equal(project_id, project.id)
  assert.ok(Date.parse(created_at) > 0 && Date.parse(updated_at) > 0)
  assert.deepEqual((await api.getProjectJwks(project.id)).data.jwks, [data.jwks])
  assert.deepEqual((await api.deleteProjectJwks(project.id, id)).data, data.jwks)
  assert.deepEqual((await api.getProjectJwks(project.id)).data.jwks, [])
  await assertRefused(api.deleteProjectJwks(project.id, id), 404, /not found/)
  await assertRefused(api.deleteProjectJwks(project.id, 'nonsense'), 404, /not found/)
})

test('an address that others could answer for is refused', async () => {
  const project = await makeProject(server)
  for (const jwks_url of [
    'http://example.com/jwks',
    'ftp://example.com/jwks',
    'https://user:password@example.com/jwks',
    'http://127.0.0.1.example.com/',
    'nonsense',
    '',
  ]) {
    await assertRefused(api.addProjectJwks(project.id, { jwks_url, ...provider }), 400, /https URL/)
  }
  await assertRefused(
    api.addProjectJwks(project.id, { jwks_url: 'https://example.com', ...provider, branch_id: 'br-none-here-1' }),
    404,
    /branch not found/,
  )
  await assertRefused(
    api.addProjectJwks(project.id, { jwks_url: 'https://example.com', ...provider, role_names: ['postgres'] }),
    400,
    /postgres/,
  )
})

for (const alg of ['EdDSA', 'ES256', 'RS256']) {
  test(`a token signed with ${alg} opens the role, with the keys that its password has`, async (t) => {
    const keys = await publisher(t, alg)
    const edge = await connectAsEdge(t, server)
    const project = await makeProject(server)
    await api.addProjectJwks(project.id, { jwks_url: `${keys.url}/keys`, ...provider, role_names: [project.role] })
    const claims = { sub: 'somebody', role: 'x' }
    const access = await edge.authorize(project.endpointId, project.role, await keys.sign(claims))
    const verifier = readVerifier((await edge.lookup(project.endpointId, project.role))?.verifier ?? '')
    assert.ok(verifier)
    const got = {
      clientKey: Buffer.from(access.clientKey, 'base64'),
      serverKey: Buffer.from(access.serverKey, 'base64'),
    }
    assert.ok(opens(got, verifier))
    assert.deepEqual(got, await deriveKeys(project.password, verifier.salt, verifier.iterations))
    const { exp, ...said } = JSON.parse(access.claims) as JWTPayload
    assert.deepEqual(said, claims)
    assert.ok(exp)
    await edge.authorize(project.endpointId, project.role, await keys.sign(claims))
    assert.equal(keys.asked, 1)
  })
}

test('a token that is not good says why', async (t) => {
  const keys = await publisher(t)
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  const role = project.role
  const { data } = await api.addProjectJwks(project.id, {
    jwks_url: `${keys.url}/keys`,
    ...provider,
    jwt_audience: 'app',
    role_names: [role],
  })
  const app = { aud: 'app' }
  const stranger = await generateKeyPair('EdDSA')
  const past = Math.floor(Date.now() / 1000) - 3600
  const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{}').toString('base64url')}.`
  const cases: [string, RegExp][] = [
    ['nonsense', /no JSON Web Token/],
    [none, /must be signed with one of/],
    [await keys.sign(app, { alg: 'HS256', key: new Uint8Array(32) }), /must be signed with one of/],
    [await keys.sign({ ...app, exp: past }, { expires: false }), /has expired/],
    [await keys.sign(app, { expires: false }), /claim "exp" is missing/],
    [await keys.sign({}), /claim "aud" is missing/],
    [await keys.sign({ aud: 'other' }), /claim "aud" is not accepted/],
    [await keys.sign({ ...app, nbf: past + 7200 }), /claim "nbf" is not accepted/],
    [await keys.sign(app, { key: stranger.privateKey }), /signature of the token is wrong/],
    [await keys.sign(app, { kid: 'second' }), /no key set of this project has/],
  ]
  for (const [token, message] of cases) {
    await assert.rejects(edge.authorize(project.endpointId, role, token), { code: 'unauthorized', message })
  }
  // However many come with made-up names of keys, they are looked up again once in a while only.
  assert.ok(keys.asked <= 2, String(keys.asked))
  const good = await keys.sign(app)
  await edge.authorize(project.endpointId, role, good)
  await assert.rejects(edge.authorize(project.endpointId, 'authenticated', good), /no key set of this project/)
  await assert.rejects(edge.authorize('ep-nobody-has-00000000', role, good), { code: 'endpoint_not_found' })
  await api.deleteProjectJwks(project.id, data.jwks.id)
  await assert.rejects(edge.authorize(project.endpointId, role, good), /no key set of this project/)
})

test('the default roles, one branch only, and passwords that are not stored', async (t) => {
  const keys = await publisher(t)
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name: 'authenticated' } }))
  const child = await makeChild(server, project)
  await api.addProjectJwks(project.id, { jwks_url: `${keys.url}/keys`, ...provider, branch_id: project.branchId })
  const token = await keys.sign()
  await edge.authorize(project.endpointId, 'authenticated', token)
  await assert.rejects(edge.authorize(child.endpointId, 'authenticated', token), /no key set/)
  await assert.rejects(edge.authorize(project.endpointId, 'anonymous', token), /does not exist or cannot log in/)
  await api.addProjectJwks(project.id, { jwks_url: `${keys.url}/keys`, ...provider, role_names: [project.role] })
  await edge.authorize(project.endpointId, project.role, token)
  await query(project.uri, `alter role current_user password 'by hand'`)
  await assert.rejects(edge.authorize(project.endpointId, project.role, token), /is not stored/)
})

test('keys are taken from where they were said to be, and not in any size', async (t) => {
  const keys = await publisher(t)
  const edge = await connectAsEdge(t, server)
  for (const path of ['/redirect', '/large']) {
    const project = await makeProject(server)
    await api.addProjectJwks(project.id, { jwks_url: keys.url + path, ...provider, role_names: [project.role] })
    await assert.rejects(
      edge.authorize(project.endpointId, project.role, await keys.sign()),
      /^AppError: a key set of this project cannot be read; the token cannot be checked$/,
    )
  }
})

test('who may have keys fetched from inside: admins and keys of the operator’s organizations, and nobody else', async (t) => {
  const keys = await publisher(t)
  const edge = await connectAsEdge(t, server)
  const inside = `${keys.url}/keys`
  const ours = await organizationNamed(server, 'paid')
  const [member, stranger] = [
    await makeUser(server, 'jwks.member@example.com'),
    await makeUser(server, 'jwks.stranger@example.com'),
  ]
  await addMember(server, ours, member)
  const theirs = await makeOrganization(server, 'a stranger’s own', stranger)
  const project = await makeProject(server, { org_id: ours })
  const { data } = await stranger.api.createProject({ project: { org_id: theirs } })
  const operator = { server, api, id: '', email: '' }
  const ofOrganization = await makeOrganizationKey(operator, ours)
  const ofProject = await makeOrganizationKey(operator, ours, project.id)
  const add = (who: { api: NeonApi }, id: string, jwks_url: string): ReturnType<NeonApi['addProjectJwks']> =>
    who.api.addProjectJwks(id, { jwks_url, ...provider, role_names: [project.role] })
  for (const [who, id] of [
    [member, project.id],
    [ofProject, project.id],
    [stranger, data.project.id],
  ] as const) {
    for (const url of [
      inside,
      inside.replace('http:', 'https:'),
      'https://10.0.0.1/',
      'https://keys.internal/',
      'https://localhost/',
    ])
      await assertRefused(add(who, id, url), 400, /jwks_url must be an https URL of the open internet/)
    assert.equal((await add(who, id, 'https://example.com/jwks.json')).status, 201)
  }
  for (const who of [operator, ofOrganization]) {
    const { data: added } = await add(who, project.id, inside)
    await edge.authorize(project.endpointId, project.role, await keys.sign())
    await api.deleteProjectJwks(project.id, added.jwks.id)
  }
})

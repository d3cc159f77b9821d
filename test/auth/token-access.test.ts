// What a token of a branch's sign-in opens in its database: the role that it names, on its branch, while sign-in is enabled.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { NeonAuthSupportedAuthProvider as Provider } from '@neondatabase/api-client'
import { SignJWT, importJWK, type JWK } from 'jose'
import { Cipher } from '../../src/lib/cipher.ts'
import { connectAsEdge } from '../support/edge-peer.ts'
import { withControlDatabase } from '../support/faults.ts'
import { makeChild, makeProject, settled } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

/** As the auth process would sign. */
async function signerOf(server: TestServer, integrationId: string): Promise<(claims: object) => Promise<string>> {
  const cipher = new Cipher(Buffer.from((await readFile(join(server.home, 'master.key'), 'utf8')).trim(), 'hex'))
  const row = await withControlDatabase(server.home, async (client) => {
    const { rows } = await client.query<{ kid: string; private_jwk: Buffer }>(
      'select kid, private_jwk from auth_signing_keys where integration_id = $1',
      [integrationId],
    )
    return rows[0]
  })
  assert.ok(row)
  const { kid } = row
  const jwk = JSON.parse(cipher.open(row.private_jwk, `signing key ${kid}`)) as JWK
  const key = await importJWK(jwk, 'EdDSA')
  return (claims) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: 'EdDSA', kid }).setExpirationTime('15m').sign(key)
}

test('it opens the role that it names, on its own branch, until sign-in is disabled', async (t) => {
  await using server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  const api = apiClient(server)
  const edge = await connectAsEdge(t, server)
  const project = await makeProject(server)
  for (const name of ['authenticated', 'anonymous', 'authenticator'])
    await settled(server, api.createProjectBranchRole(project.id, project.branchId, { role: { name } }))
  const { data: made } = await api.createNeonAuth(project.id, project.branchId, { auth_provider: Provider.Stack })
  const child = await makeChild(server, project)
  const sign = await signerOf(server, made.auth_provider_project_id)
  const token = await sign({ sub: 'somebody', role: 'authenticated' })
  const access = await edge.authorize(project.endpointId, 'authenticated', token)
  assert.equal((JSON.parse(access.claims) as { sub: string }).sub, 'somebody')

  // Everybody is handed one for `anonymous`.
  const anonymous = await sign({ sub: 'anybody', role: 'anonymous' })
  await edge.authorize(project.endpointId, 'anonymous', anonymous)
  const refused = { code: 'unauthorized', message: /claim "role" is not accepted/ }
  await assert.rejects(edge.authorize(project.endpointId, 'authenticated', anonymous), refused)
  await assert.rejects(edge.authorize(project.endpointId, 'authenticated', await sign({ sub: 'x' })), refused)
  for (const role of ['authenticator', project.role])
    await assert.rejects(edge.authorize(project.endpointId, role, await sign({ role })), /no key set/)

  // The branch that was made from it has keys of its own.
  await assert.rejects(edge.authorize(child.endpointId, 'authenticated', token), /no key set of this project has/)
  const { data: copied } = await api.getNeonAuth(project.id, child.branch.id)
  const signThere = await signerOf(server, copied.auth_provider_project_id)
  const there = await signThere({ sub: 'somebody', role: 'authenticated' })
  await edge.authorize(child.endpointId, 'authenticated', there)
  await assert.rejects(edge.authorize(project.endpointId, 'authenticated', there), /no key set of this project has/)

  await api.disableNeonAuth(project.id, project.branchId, {})
  await assert.rejects(edge.authorize(project.endpointId, 'authenticated', token), /no key set/)
  await assertQuiet(server)
})

// The Neon CLI, unmodified: sign-in of a branch.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makeNeonctl, type Neonctl } from '../support/neonctl.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let neonctl: Neonctl
let project: TestProject
before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
  neonctl = await makeNeonctl(server)
  project = await makeProject(server)
})
after(async () => {
  await using _ = server
  await neonctl?.[Symbol.asyncDispose]()
  await assertQuiet(server)
})

const ask = (command: string): Promise<string> => neonctl.text(`neon-auth ${command} --project-id ${project.id}`)

test('enabled, looked at, configured and disabled', async () => {
  assert.match(await ask('status'), /not configured/)
  assert.match(await ask('enable'), /Neon Auth enabled[\s\S]*NEON_AUTH_BASE_URL=http/)
  assert.match(await ask('enable'), /already enabled/)
  assert.match(await ask('status'), new RegExp(`better_auth[\\s\\S]*${project.branchId}[\\s\\S]*${project.database}`))
  const own = '--oauth-client-id mine --oauth-client-secret hidden'
  assert.match(await ask(`oauth-provider add --provider-id github ${own}`), /standard[\s\S]*auth\/callback\/github/)
  await ask('domain add https://app.example.com')
  assert.match(await ask('domain list'), /https:\/\/app\.example\.com/)
  await ask('domain allow-localhost disable')
  assert.match(await ask('plugins list'), /oauth_providers +2 items[\s\S]*allow_localhost +false/)
  const made = await ask('user create --email somebody@example.com --name Somebody')
  const id = /ID: +(\S+)/.exec(made)?.[1] ?? ''
  await ask(`user set-role ${id} --roles admin`)
  const users = 'SELECT id FROM neon_auth.users_sync'
  assert.deepEqual(await query(project.uri, users), [{ id }])
  await ask('disable')
  assert.deepEqual(await query(project.uri, users), [{ id }])
})

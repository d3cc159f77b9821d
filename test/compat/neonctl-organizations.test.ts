// The Neon CLI across organizations: its context, projects that moved, and limits.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ProjectListItem, ProjectResponse } from '@neondatabase/api-client'
import { makeNeonctl, type Neonctl } from '../support/neonctl.ts'
import { firstOrganizations, setLimits } from '../support/organizations.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let neonctl: Neonctl
let sponsored: string
let paid: string
before(async () => {
  server = await startServer({
    env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '1,2' },
    defaultOrganization: 'sponsored',
  })
  neonctl = await makeNeonctl(server)
  ;({ sponsored, paid } = await firstOrganizations(server))
})
after(async () => {
  await neonctl?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
})

/** Of one organization it is the list alone. */
type Listed = { projects: ProjectListItem[] } | ProjectListItem[]
type Made = ProjectResponse

const idsOf = (listed: Listed): string[] => (Array.isArray(listed) ? listed : listed.projects).map(({ id }) => id)

async function complaint(cli: Neonctl, command: string): Promise<string> {
  const error = await cli.text(command).then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(error instanceof Error, `neonctl ${command} was expected to fail`)
  return String(error.cause)
}

test('a project that moved is listed where it is, and the context says where that is', async () => {
  const here = await neonctl.json<Made>('projects create --name moves')
  assert.equal(here.project.org_id, sponsored)
  await apiClient(server).transferProjectsFromOrgToOrg(sponsored, {
    destination_org_id: paid,
    project_ids: [here.project.id],
  })
  assert.deepEqual(idsOf(await neonctl.json<Listed>(`projects list --org-id ${paid}`)), [here.project.id])
  assert.ok(!idsOf(await neonctl.json<Listed>(`projects list --org-id ${sponsored}`)).includes(here.project.id))
  await neonctl.text(`set-context --org-id ${paid}`)
  assert.deepEqual(idsOf(await neonctl.json<Listed>('projects list')), [here.project.id])
  const there = await neonctl.json<Made>('projects create --name made-there')
  assert.equal(there.project.org_id, paid)
  await neonctl.text('set-context')
})

test('a limit is told to whoever runs into it', async () => {
  await setLimits(server, sponsored, { projects: 0 })
  assert.match(
    await complaint(neonctl, `projects create --name no --org-id ${sponsored}`),
    /projects limit of 0 exceeded/,
  )
  await setLimits(server, sponsored, { projects: null })
})

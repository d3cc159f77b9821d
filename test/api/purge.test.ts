// What was deleted and not recovered goes for good when its time is over.

import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { makeChild, makeProject, refusal, settled, type NeonApi } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_RECOVERY_WINDOW_SECONDS: '1' } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

async function folderOf(uri: string): Promise<string> {
  const [row] = await query<{ folder: string }>(uri, `select current_setting('data_directory') as folder`)
  return row?.folder ?? ''
}

const gone = (folder: string): Promise<boolean> =>
  eventually(`${folder} to be gone`, () =>
    access(folder).then(
      () => false,
      () => true,
    ),
  )

test('a branch goes with its data, and its project stays', async () => {
  const project = await makeProject(server)
  const child = await makeChild(server, project, { name: 'old' })
  const folder = await folderOf(child.uri)
  await settled(server, api.deleteProjectBranch({ projectId: project.id, branchId: child.branch.id }))
  await gone(folder)
  const { data } = await api.listProjectBranches({ projectId: project.id, include_deleted: true })
  assert.deepEqual(
    data.branches.map(({ name }) => name),
    ['main'],
  )
  assert.equal((await refusal(api.recoverProjectBranch(project.id, child.branch.id))).status, 404)
  assert.deepEqual(await query(project.uri, 'select 1 as n'), [{ n: 1 }])
})

test('a project goes with all its branches, and what happened to it can still be asked for a while', async () => {
  const project = await makeProject(server, { name: 'bygone' })
  const child = await makeChild(server, project)
  const folders = [await folderOf(project.uri), await folderOf(child.uri)]
  await api.deleteProject(project.id)
  for (const folder of folders) await gone(folder)
  assert.deepEqual((await api.listProjects({ search: 'bygone', recoverable: true })).data.projects, [])
  const refused = await refusal(api.recoverProject(project.id))
  assert.ok(refused.status === 410 || refused.status === 404, refused.message)
  const { data } = await api.listProjectOperations({ projectId: project.id })
  assert.ok(data.operations.length > 0)
  assert.equal((await refusal(api.getProject(project.id))).status, 404)
})

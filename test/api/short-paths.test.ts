// The paths that Neon's guide for AI agents writes without their project.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operation, Snapshot } from '@neondatabase/api-client'
import { testPassword, testUser, TestPostgres } from '../../src/proxy/test-support/postgres.ts'
import { makeProject, type NeonApi } from '../support/neon.ts'
import { query } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, waitForOperations, type Answer, type TestServer } from '../support/server.ts'

let controlDatabase: TestPostgres
let server: TestServer
let api: NeonApi

before(async () => {
  controlDatabase = await TestPostgres.start()
  const host = encodeURIComponent(controlDatabase.socketDir)
  const url = `postgresql://${testUser}:${encodeURIComponent(testPassword)}@${host}/postgres`
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_CONTROL_DATABASE_URL: url } })
  api = apiClient(server)
})
after(async () => {
  await using _controlDatabase = controlDatabase
  await using _server = server
  await assertQuiet(server)
})

function assertAnswer({ status, body }: Answer, wanted: number, message: RegExp): void {
  assert.equal(status, wanted, JSON.stringify(body))
  assert.match(String(body['message']), message)
}

/** As if somebody else had made it. */
async function giveAway(projectId: string): Promise<void> {
  const target = { host: controlDatabase.socketDir, user: testUser, password: testPassword, database: 'postgres' }
  await query(
    target,
    `insert into organizations (id, name, handle, plan) values ('org-of-another-00000000', 'another', 'another', 'free')
       on conflict do nothing`,
  )
  await query(target, `update projects set org_id = 'org-of-another-00000000' where id = $1`, [projectId])
}

const snapshotPath = (branchId: string): string => `/branches/${branchId}/snapshot`
const restorePath = (snapshotId: string): string => `/snapshots/${snapshotId}/restore`

test('a snapshot is made and restored by paths that leave out the project', async () => {
  const project = await makeProject(server)
  const made = await request(server, 'POST', `${snapshotPath(project.branchId)}?name=short`)
  assert.equal(made.status, 200, JSON.stringify(made.body))
  const { snapshot, operations } = made.body as { snapshot: Snapshot; operations: Operation[] }
  await waitForOperations(server, operations)
  assert.deepEqual([snapshot.name, snapshot.source_branch_id], ['short', project.branchId])
  const restored = await request(server, 'POST', restorePath(snapshot.id), { name: 'preview' })
  assert.equal(restored.status, 200, JSON.stringify(restored.body))
  await waitForOperations(server, restored.body['operations'] as Operation[])
  const { branches } = (await api.listProjectBranches({ projectId: project.id, search: 'preview' })).data
  assert.equal(branches[0]?.restored_from, snapshot.id)
})

test('what is another’s is answered like what nobody has', async () => {
  const project = await makeProject(server)
  const { snapshot, operations } = (await api.createSnapshot({ projectId: project.id, branchId: project.branchId }))
    .data
  await waitForOperations(server, operations)
  await giveAway(project.id)
  for (const id of [project.branchId, 'br-no-such-00000000']) {
    assertAnswer(await request(server, 'POST', snapshotPath(id)), 404, /^branch not found$/)
  }
  for (const id of [snapshot.id, 'snap-no-such-00000000']) {
    assertAnswer(await request(server, 'POST', restorePath(id)), 404, /^snapshot not found$/)
  }
})

test('other methods, and ids that cannot be, are no part of the API', async () => {
  const project = await makeProject(server)
  assertAnswer(await request(server, 'GET', snapshotPath(project.branchId)), 404, /no part of the API/)
  for (const id of ['BR-1', 'a%00b', "br'--", 'x'.repeat(61)]) {
    assertAnswer(await request(server, 'POST', snapshotPath(id)), 404, /no part of the API/)
  }
  await api.deleteProject(project.id)
  assertAnswer(await request(server, 'POST', snapshotPath(project.branchId)), 404, /^branch not found$/)
})

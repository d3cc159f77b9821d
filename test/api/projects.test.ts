import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { apiClient, startServer, waitForOperations } from '../support/server.ts'

test('a created project is a Postgres that its connection string opens', async () => {
  await using server = await startServer()
  const client = apiClient(server)
  const { data } = await client.createProject({
    project: { name: 'first', branch: { name: 'main', role_name: 'app_user', database_name: 'app_db' } },
  })
  const uri = data.connection_uris[0]?.connection_uri ?? ''
  const connection = new pg.Client({ connectionString: uri })
  await connection.connect()
  try {
    const { rows } = await connection.query<{ role: string; database: string }>(
      'select current_user as role, current_database() as database',
    )
    assert.deepEqual(rows, [{ role: 'app_user', database: 'app_db' }])
  } finally {
    await connection.end()
  }
  await waitForOperations(server, data.operations)
  const { data: again } = await client.getProject(data.project.id)
  assert.equal(again.project.name, 'first')
})

// Sleeping databases do not break their clients: a thousand of them, across a hundred suspensions, and not one hears of any.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { eventually } from '../support/eventually.ts'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { apiClient, startServer, waitForOperations } from '../support/server.ts'

const pooledClients = 950
const directClients = 50
const suspensions = 100
const askingAtOnce = 40

type Asker = { client: pg.Client; kind: 'pooled' | 'direct'; asked: number }

test('a thousand clients across a hundred suspensions, and not one error', async () => {
  await using server = await startServer()
  const project = await makeProject(server)
  const api = apiClient(server)
  const errors: Error[] = []
  const connect = async (kind: Asker['kind']): Promise<Asker> => {
    const client = new pg.Client({ connectionString: uriOf(project, kind) })
    client.on('error', (error) => errors.push(error))
    await client.connect()
    return { client, kind, asked: 0 }
  }
  const askers: Asker[] = []
  for (const [kind, count] of [
    ['pooled', pooledClients],
    ['direct', directClients],
  ] as const) {
    while (askers.filter((asker) => asker.kind === kind).length < count) {
      askers.push(...(await Promise.all(Array.from({ length: 25 }, () => connect(kind)))))
    }
  }
  await askers[0]?.client.query('create table asked (who int, round int)')

  let next = 0
  const ask = async (round: number): Promise<void> => {
    const who = next++ % askers.length
    const asker = askers[who]
    assert.ok(asker)
    const { client } = asker
    // A transaction, a plain query, a named statement: each has to find itself whole.
    switch (asker.asked++ % 3) {
      case 0: {
        await client.query('begin')
        await client.query('insert into asked values ($1, $2)', [who, round])
        await client.query('commit')
        return
      }
      case 1:
        assert.equal((await client.query('select $1::int as who', [who])).rows[0].who, who)
        return
      default:
        assert.equal(
          (await client.query({ name: 'named', text: 'select $1::int + 1 as n', values: [who] })).rows[0].n,
          who + 1,
        )
    }
  }
  let stopped = 0
  for (let round = 0; round < suspensions; round++) {
    const asking = Array.from({ length: askingAtOnce }, () => ask(round))
    const { operations } = (await api.suspendProjectEndpoint(project.id, project.endpointId)).data
    asking.push(...Array.from({ length: askingAtOnce }, () => ask(round)))
    await Promise.all(asking)
    await waitForOperations(server, operations)
    if (operations.length > 0) stopped++
  }
  assert.deepEqual(errors, [])
  assert.ok(stopped >= suspensions / 2, `${stopped} suspensions`)
  const { rows } = await (askers.at(-1) as Asker).client.query('select count(*)::int as n from asked')
  assert.ok(rows[0].n > 0)

  // And by being idle: all of them at once fall asleep, and any of them wakes it.
  const endpoint = { suspend_timeout_seconds: 1 }
  await settled(server, api.updateProjectEndpoint(project.id, project.endpointId, { endpoint }))
  for (let round = 0; round < 3; round++) {
    await eventually('it is idle', async () => {
      const { data } = await api.getProjectEndpoint(project.id, project.endpointId)
      return (data.endpoint.current_state as string) === 'idle'
    })
    await Promise.all(Array.from({ length: askingAtOnce }, () => ask(round)))
  }
  assert.deepEqual(errors, [])
  await Promise.all(askers.map(({ client }) => client.end()))
})

function uriOf(project: TestProject, kind: Asker['kind']): string {
  return kind === 'direct' ? project.uri : project.uri.replaceAll(project.endpointId, `${project.endpointId}-pooler`)
}

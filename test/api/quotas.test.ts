// The five quotas, each reached by real use through a real connection: who is told, what is refused, and how it goes on.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Client as ServerlessClient, neonConfig } from '@neondatabase/serverless'
import pg from 'pg'
import { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { withControlDatabase } from '../support/faults.ts'
import { makeChild, makeProject, refusal, settled, type NeonApi, type TestProject } from '../support/neon.ts'
import { connect, query, type Session } from '../support/postgres.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'
import { startWebhookReceiver, type ReceivedEvent, type WebhookReceiver } from '../support/webhook-receiver.ts'

type Quota = {
  active_time_seconds?: number
  compute_time_seconds?: number
  written_data_bytes?: number
  data_transfer_bytes?: number
  logical_size_bytes?: number
}

const megabyte = 1024 * 1024
const exceededState = '53400'
const readOnlyState = '25006'

let server: TestServer
let api: NeonApi
let receiver: WebhookReceiver
let orgId: string

before(async () => {
  receiver = await startWebhookReceiver()
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '1,2' } })
  api = apiClient(server)
  orgId = (await makeProject(server).then(({ id }) => api.getProject(id))).data.project.org_id ?? ''
  const { status, body } = await request(server, 'PUT', `/organizations/${orgId}/webhook`, { url: receiver.url })
  assert.equal(status, 200, JSON.stringify(body))
  receiver.secret = body['secret'] as string
  neonConfig.wsProxy = (host, port) => `127.0.0.1:${server.httpPort}/v2?address=${host}:${port}`
  neonConfig.useSecureWebSocket = false
  neonConfig.webSocketConstructor = WebSocket
})
after(async () => {
  await using _receiver = receiver
  await using _server = server
  await assertQuiet(server)
})

const setQuota = (project: TestProject, quota: Quota): Promise<unknown> =>
  api.updateProject(project.id, { project: { settings: { quota } } })

const pooledUri = ({ uri, endpointId }: TestProject): string => uri.replaceAll(endpointId, `${endpointId}-pooler`)

async function eventsOf(project: TestProject): Promise<{ type: string; data: Record<string, unknown> }[]> {
  const { body } = await request(server, 'GET', `/projects/${project.id}/events`)
  return body['events'] as { type: string; data: Record<string, unknown> }[]
}

async function typesOf(project: TestProject): Promise<string[]> {
  return (await eventsOf(project)).map(({ type, data }) => `${type} ${String(data['quota'])}`)
}

async function stateOf(project: TestProject): Promise<string> {
  return (await api.getProjectEndpoint(project.id, project.endpointId)).data.endpoint.current_state
}

const isStopped = (project: TestProject, quota: string): Promise<unknown> =>
  eventually(
    `${quota} has stopped the project`,
    async () => (await typesOf(project)).includes(`quota.exceeded ${quota}`) && (await stateOf(project)) === 'idle',
  )

const hears = (project: TestProject, type: string): Promise<ReceivedEvent> =>
  eventually(`the webhook hears of ${type}`, async () =>
    receiver.received.map(({ event }) => event).find((event) => event.project_id === project.id && event.type === type),
  )

async function sqlOverHttp(uri: string, text: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${server.origin}/sql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'neon-connection-string': uri },
    body: JSON.stringify({ query: text, params: [] }),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

async function overWebSocket(uri: string): Promise<void> {
  const client = new ServerlessClient(uri)
  const ended = new Promise<never>((_, reject) => client.on('error', reject))
  ended.catch(() => {})
  // Its greeting is not waited for: an error may come with the connect or with the first query.
  await Promise.race([ended, client.connect().then(() => client.query('select 1'))])
  await client.end()
}

type PostgresError = Error & { code?: string }

/** Every way in, one by one. */
async function assertClosed(project: TestProject, quota: string): Promise<void> {
  const says = (error: PostgresError): boolean => {
    assert.equal(error.code, exceededState, error.message)
    assert.match(error.message, new RegExp(`quota \\(${quota}\\): \\d+ of \\d+`))
    assert.match(error.message, new RegExp(`settings\\.quota\\.${quota}`))
    return true
  }
  await assert.rejects(connect(project.uri), says)
  await assert.rejects(connect(pooledUri(project)), says)
  await assert.rejects(overWebSocket(project.uri), (error: PostgresError) => says(error))
  const { status, body } = await sqlOverHttp(project.uri, 'select 1')
  assert.equal(status, 402)
  assert.equal(body['code'], exceededState)
  assert.match(String(body['message']), new RegExp(quota))
  const code = `${quota.replace(/_(seconds|bytes)$/, '').toUpperCase()}_QUOTA_EXCEEDED`
  const role = { name: 'another' }
  for (const call of [
    () => api.startProjectEndpoint(project.id, project.endpointId),
    () => api.createProjectBranchRole(project.id, project.branchId, { role }),
    () => api.getProjectBranchSchema({ projectId: project.id, branchId: project.branchId, db_name: 'neondb' }),
  ]) {
    const refused = await refusal(call())
    assert.equal(refused.status, 422)
    assert.equal(refused.code, code)
    assert.match(refused.message, new RegExp(`quota \\(${quota}\\)`))
  }
  // What needs no compute goes on.
  await api.listProjectBranches({ projectId: project.id })
  await api.updateProject(project.id, { project: { name: 'still editable' } })
  await api.updateProjectBranch(project.id, project.branchId, { branch: { name: 'still-editable' } })
  const roles = await api.listProjectBranchRoles(project.id, project.branchId)
  assert.deepEqual(
    roles.data.roles.map(({ name }) => name),
    [project.role],
  )
}

/** Its clients stay connected: they are told no for as long as it lasts, and then they simply go on. */
async function assertToldAndLifted(project: TestProject, clients: readonly Session[], quota: string): Promise<void> {
  for (const client of clients) {
    await assert.rejects(client.query('select 1'), (error: PostgresError) => {
      assert.equal(error.code, exceededState, error.message)
      assert.match(error.message, new RegExp(quota))
      return true
    })
    await assert.rejects(client.query('select $1::int', [1]), { code: exceededState })
    assert.equal(client.ended(), undefined)
  }
  await setQuota(project, { [quota]: 0 })
  for (const client of clients) {
    assert.deepEqual(await client.query('select 6 * $1::int as answer', [7]), [{ answer: 42 }])
    assert.equal(client.ended(), undefined)
  }
}

async function sizeOf(uri: string): Promise<number> {
  const rows = await query<{ bytes: string }>(uri, 'select sum(pg_database_size(oid))::text as bytes from pg_database')
  return Number(rows[0]?.bytes)
}

const fill = (table: string, megabytes: number): string =>
  `create table ${table} as select repeat(md5(n::text), 32) as text from generate_series(1, ${megabytes * 1000}) n`

async function noticeOf(uri: string): Promise<string> {
  const client = new pg.Client({ connectionString: uri })
  let notice = ''
  client.on('notice', ({ message }) => (notice += message ?? ''))
  client.on('error', () => {})
  await client.connect()
  await client.query('select 1')
  await client.end()
  return notice
}

// Each waits for something most of the time.
describe('quotas', { concurrency: 4 }, () => {
  for (const [quota, limit] of [
    ['active_time_seconds', 3],
    ['compute_time_seconds', 1],
  ] as const) {
    test(`${quota}: told, refused everywhere, lifted by PATCH while clients stay connected`, async () => {
      const project = await makeProject(server, { settings: { quota: { [quota]: limit } } })
      await using direct = await connect(project.uri)
      await using silent = await connect(project.uri)
      await using pooled = await connect(pooledUri(project))
      await direct.query('create table kept as select 5 as n')
      await pooled.query('select 1')
      await silent.query('select 1')
      await isStopped(project, quota)
      await assertClosed(project, quota)
      assert.match((await hears(project, 'quota.exceeded')).message, new RegExp(quota))
      await assertToldAndLifted(project, [direct, pooled], quota)
      assert.deepEqual(await silent.query('select n from kept'), [{ n: 5 }])
      await hears(project, 'quota.lifted')
    })
  }

  test('data_transfer_bytes: an answer that is too long ends with the reason, and only for its project', async () => {
    const other = await makeProject(server)
    const project = await makeProject(server, { settings: { quota: { data_transfer_bytes: 2 * megabyte } } })
    await using neighbour = await connect(other.uri)
    await using kept = await connect(project.uri)
    await using greedy = await connect(project.uri)
    const endless = greedy.query("select repeat('x', 10000) from generate_series(1, 10000000)")
    await assert.rejects(endless, { code: exceededState })
    await isStopped(project, 'data_transfer_bytes')
    await assertClosed(project, 'data_transfer_bytes')
    await assertToldAndLifted(project, [kept], 'data_transfer_bytes')
    await neighbour.query('select 1')
    assert.equal(neighbour.ended(), undefined)
  })

  test('written_data_bytes: writing counts on all branches, and all of them are stopped', async () => {
    const project = await makeProject(server)
    const child = await makeChild(server, project)
    await using onChild = await connect(child.uri)
    await using writer = await connect(project.uri)
    await onChild.query('select 1')
    await setQuota(project, { written_data_bytes: 8 * megabyte })
    await writer.query(
      'create table written as select repeat(md5(n::text), 30) as text from generate_series(1, 20000) n',
    )
    await isStopped(project, 'written_data_bytes')
    await assertClosed(project, 'written_data_bytes')
    await assert.rejects(connect(child.uri), { code: exceededState })
    await assertToldAndLifted(project, [writer, onChild], 'written_data_bytes')
  })

  test('a statement that writes for long without a byte of traffic is seen', async () => {
    const project = await makeProject(server, { settings: { quota: { written_data_bytes: 20 * megabyte } } })
    await using silent = await connect(project.uri)
    await silent.query('create table quiet (text text)')
    const writing = silent.query(`do $$ begin
      for n in 1..10000 loop
        insert into quiet select repeat(md5(random()::text), 30) from generate_series(1, 100);
        commit;
        perform pg_sleep(0.05);
      end loop;
    end $$`)
    await assert.rejects(writing, { code: exceededState })
  })

  test('warnings come once each, at 80 and at 95 %', async () => {
    const project = await makeProject(server)
    await using client = await connect(project.uri)
    await client.query('create table warned as select repeat(md5(n::text), 30) as text from generate_series(1, 5000) n')
    const { data } = await eventually('the usage', async () => {
      const answer = await api.getProject(project.id)
      return answer.data.project.written_data_bytes > 0 && answer
    })
    const used = data.project.written_data_bytes
    await setQuota(project, { written_data_bytes: Math.ceil(used / 0.85) })
    await eventually('the first warning', async () => (await eventsOf(project)).length === 1)
    await setQuota(project, { written_data_bytes: Math.ceil(used / 0.97) })
    await eventually('the second warning', async () => (await eventsOf(project)).length === 2)
    await client.query('select 1')
    const percents = (await eventsOf(project)).map(({ type, data: of }) => `${type} ${String(of['percent'])}`)
    assert.deepEqual(percents, ['quota.warning 95', 'quota.warning 80'])
  })

  test('logical_size_bytes: read-only at the quota and softly so, writable again after deleting', async () => {
    const project = await makeProject(server)
    await using direct = await connect(project.uri)
    await using pooled = await connect(pooledUri(project))
    await direct.query('create table mine (n integer)')
    await pooled.query('select 1')
    const limit = (await sizeOf(project.uri)) + 10 * megabyte
    await setQuota(project, { logical_size_bytes: limit })
    await direct.query(fill('big', 11))
    await eventually('it is read-only', async () =>
      (await typesOf(project)).includes('quota.exceeded logical_size_bytes'),
    )
    await eventually('sessions see it', async () => {
      const [row] = await direct.query<{ read_only: string }>(
        "select current_setting('transaction_read_only') as read_only",
      )
      return row?.read_only === 'on'
    })
    await assert.rejects(direct.query('insert into mine values (1)'), { code: readOnlyState })
    await assert.rejects(pooled.query('insert into mine values (1)'), { code: readOnlyState })
    const { body } = await sqlOverHttp(project.uri, 'insert into mine values (1)')
    assert.equal(body['code'], readOnlyState)

    for (const uri of [project.uri, pooledUri(project)])
      assert.match(await noticeOf(uri), /logical size quota.*read_only = off/s)

    // Roles are made all the same.
    const made = await request(server, 'POST', `/projects/${project.id}/branches/${project.branchId}/roles`, {
      role: { name: 'second' },
    })
    assert.equal(made.status, 201)

    await direct.query('begin read write; drop table big; commit')
    await eventually('it is writable', async () => {
      const [row] = await direct.query<{ read_only: string }>(
        "select current_setting('transaction_read_only') as read_only",
      )
      return row?.read_only === 'off'
    })
    await direct.query('insert into mine values (1)')
    await pooled.query('insert into mine values (2)')
    assert.ok((await typesOf(project)).includes('quota.lifted logical_size_bytes'))
    assert.equal(await noticeOf(project.uri), '')
  })

  test('a tenant who turns the write protection off is stopped at 110 %, on that branch alone', async () => {
    const project = await makeProject(server)
    const child = await makeChild(server, project)
    await using onChild = await connect(child.uri)
    await using hostile = await connect(project.uri)
    const [{ lsn } = { lsn: '' }] = await hostile.query<{ lsn: string }>(
      'select pg_current_wal_insert_lsn()::text as lsn',
    )
    const limit = (await sizeOf(project.uri)) + 4 * megabyte
    await setQuota(project, { logical_size_bytes: limit })
    await hostile.query('set default_transaction_read_only = off')
    const writing = (async () => {
      for (let n = 0; n < 1000; n++) await hostile.query(fill(`more_${n}`, 2))
    })()
    await assert.rejects(writing, (error: PostgresError) => {
      assert.equal(error.code, exceededState, error.message)
      assert.match(error.message, /logical_size_bytes/)
      return true
    })
    await assert.rejects(connect(project.uri), { code: exceededState })
    assert.equal((await refusal(api.startProjectEndpoint(project.id, project.endpointId))).code, 'LOGICAL_SIZE_QUOTA_EXCEEDED') // prettier-ignore
    assert.ok((await typesOf(project)).includes('quota.blocked logical_size_bytes'))
    await onChild.query('create table still_writable (n integer)')
    assert.equal(onChild.ended(), undefined)

    // Either way out: what was before, or more room for what there is now.
    await settled(
      server,
      api.restoreProjectBranch(project.id, project.branchId, {
        source_branch_id: project.branchId,
        source_lsn: lsn,
        preserve_under_name: 'too big',
      }),
    )
    await query(project.uri, 'create table writable_again (n integer)')
    await setQuota(project, { logical_size_bytes: 100 * limit })
    await query(project.uri, 'insert into writable_again values (1)')
  })

  test('a session with state that cannot be set aside is ended with the reason', async () => {
    const project = await makeProject(server)
    await using held = await connect(project.uri)
    await using working = await connect(project.uri)
    await held.query('create temp table kept (n integer)')
    await working.query('begin')
    const asked = sqlOverHttp(project.uri, 'select pg_sleep(60)')
    await setQuota(project, { active_time_seconds: 1 })
    await eventually('both are ended', async () => held.ended() && working.ended())
    for (const session of [held, working]) {
      assert.equal(session.ended()?.code, exceededState)
      assert.match(session.ended()?.message ?? '', /active_time_seconds/)
    }
    const { status, body } = await asked
    assert.equal(status, 402)
    assert.match(String(body['message']), /active_time_seconds/)
  })

  test('reads of the past are stopped and refused as well', async () => {
    const project = await makeProject(server)
    const [{ lsn } = { lsn: '' }] = await query<{ lsn: string }>(
      project.uri,
      'select pg_current_wal_insert_lsn()::text as lsn',
    )
    await query(project.uri, 'create table later (n integer)')
    const past = new URL(project.uri)
    past.searchParams.set('options', `${past.searchParams.get('options') ?? ''} neon_lsn:${lsn}`.trim())
    await using reader = await connect(past.href)
    await reader.query('select 1')
    await setQuota(project, { active_time_seconds: 1 })
    await isStopped(project, 'active_time_seconds')
    await assert.rejects(connect(past.href), { code: exceededState })
    await assert.rejects(reader.query('select 1'), { code: exceededState })
    await setQuota(project, { active_time_seconds: 0 })
    await query(past.href, 'select 1')
  })

  test('a new period lifts what the old one had used up', async () => {
    const project = await makeProject(server, { settings: { quota: { compute_time_seconds: 1 } } })
    await using client = await connect(project.uri)
    await client.query('select 1')
    await isStopped(project, 'compute_time_seconds')
    await assert.rejects(client.query('select 1'), { code: exceededState })
    // As if the month of the standing were over; the usage of this month is put aside with it.
    await withControlDatabase(server.home, async (database) => {
      const over = new Date(Date.now() - 1000).toISOString()
      await database.query(
        `update projects set usage_standings = jsonb_set(usage_standings, '{0,periodEnd}', to_jsonb($2::text)) where id = $1`,
        [project.id, over],
      )
    })
    // The proxy takes a refusal for granted for a moment.
    const rows = await eventually('it goes on', () => client.query('select 7 as n').catch(() => undefined))
    assert.deepEqual(rows, [{ n: 7 }])
    assert.equal(client.ended(), undefined)
  })

  test('quotas are validated, merged field by field, and read back', async () => {
    const project = await makeProject(server, { settings: { quota: { active_time_seconds: 1000 } } })
    await setQuota(project, { logical_size_bytes: 5_000_000_000 })
    const { data } = await api.getProject(project.id)
    assert.equal(data.project.settings?.quota?.active_time_seconds, 1000)
    assert.equal(data.project.settings?.quota?.logical_size_bytes, 5_000_000_000)
    for (const wrong of [-1, 1.5, '5', null, true, 1e30]) {
      const { status } = await request(server, 'PATCH', `/projects/${project.id}`, {
        project: { settings: { quota: { active_time_seconds: wrong } } },
      })
      assert.equal(status, 400, String(wrong))
    }
    assert.equal((await api.getProject(project.id)).data.project.settings?.quota?.active_time_seconds, 1000)
  })
})

// Events by page and by webhook. What makes them is tested with its subject; here they are written as it writes them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { eventually } from '../support/eventually.ts'
import { withControlDatabase } from '../support/faults.ts'
import { makeProject, type TestProject } from '../support/neon.ts'
import { apiClient, request, startServer, type Answer, type TestServer } from '../support/server.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts'
import type { Sql } from '../../src/store/database.ts'
import { recordEvent } from '../../src/store/events.ts'
import { dropDeliveries } from '../../src/store/webhooks.ts'
import type { OrganizationId, ProjectId } from '../../src/model/ids.ts'

let server: TestServer
let project: TestProject
let orgId: string

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' } })
  project = await makeProject(server)
  orgId = (await apiClient(server).getProject(project.id)).data.project.org_id ?? ''
})
after(() => server[Symbol.asyncDispose]())

const asSql = (client: pg.Client): Sql => ({
  query: async <R>(text: string, values: readonly unknown[] = []) =>
    (await client.query(text, [...values])).rows as R[],
})

/** As a part of pgrove would. */
async function happen(...messages: string[]): Promise<void> {
  await withControlDatabase(server.home, async (client) => {
    const sql = asSql(client)
    for (const message of messages) {
      await recordEvent(sql, {
        orgId: orgId as OrganizationId,
        projectId: project.id as ProjectId,
        kind: 'quota.warning',
        message,
        details: { percent: 80 },
      })
    }
  })
}

type Page = { events: { id: number; message: string }[]; pagination: { next?: string } }

async function page(path: string): Promise<Page> {
  const { status, body } = await request(server, 'GET', path)
  assert.equal(status, 200, JSON.stringify(body))
  return body as Page
}

const webhook = (method: string, body?: unknown): Promise<Answer> =>
  request(server, method, `/organizations/${orgId}/webhook`, body)

async function listen(receiver: WebhookReceiver): Promise<void> {
  const { status, body } = await webhook('PUT', { url: receiver.url })
  assert.equal(status, 200, JSON.stringify(body))
  receiver.secret = body['secret'] as string
}

const heard = (receiver: WebhookReceiver): string[] => receiver.received.map(({ event }) => event.message)

const lastError = async (): Promise<string> =>
  String(((await webhook('GET')).body['webhook'] as Record<string, unknown>)['last_error'])

/** As if the pause after a failure were over. */
const hurry = (): Promise<unknown> =>
  withControlDatabase(server.home, (client) =>
    client.query('update webhook_deliveries set due_at = now() where due_at > now()'),
  )

test('events come newest first, page by page, of the project and of its organization', async () => {
  await happen('first', 'second', 'third')
  for (const path of [`/projects/${project.id}/events`, `/organizations/${orgId}/events`]) {
    const first = await page(`${path}?limit=2`)
    assert.deepEqual(
      first.events.map(({ message }) => message),
      ['third', 'second'],
    )
    const rest = await page(`${path}?limit=2&cursor=${first.pagination.next}`)
    assert.deepEqual(
      rest.events.map(({ message }) => message),
      ['first'],
    )
    assert.equal(rest.pagination.next, undefined)
  }
  const [event] = (await page(`/projects/${project.id}/events`)).events
  assert.deepEqual(
    { ...event, id: 0, timestamp: '' },
    {
      id: 0,
      type: 'quota.warning',
      timestamp: '',
      org_id: orgId,
      project_id: project.id,
      message: 'third',
      data: { percent: 80 },
    },
  )
})

test('what is no cursor, no limit or no project is refused', async () => {
  for (const [query, status] of [
    ['cursor=nonsense', 400],
    ['cursor=eyJldmVudF9pZCI6IjEgb3IgMT0xIn0', 400],
    ['limit=0', 400],
    ['limit=100000', 400],
  ] as const) {
    assert.equal((await request(server, 'GET', `/projects/${project.id}/events?${query}`)).status, status, query)
  }
  assert.equal((await request(server, 'GET', '/projects/no-such-project/events')).status, 404)
  assert.equal((await request(server, 'GET', '/organizations/org-none/events')).status, 404)
})

test('a webhook is set, shown without its secret, replaced and removed', async () => {
  assert.equal((await webhook('GET')).status, 404)
  await using receiver = await startWebhookReceiver()
  await listen(receiver)
  assert.match(receiver.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  const shown = await webhook('GET')
  assert.equal((shown.body['webhook'] as { url: string }).url, receiver.url)
  assert.equal(JSON.stringify(shown.body).includes(receiver.secret), false)
  const before = receiver.secret
  await listen(receiver)
  assert.notEqual(receiver.secret, before)
  for (const url of [
    'nonsense',
    'ftp://127.0.0.1/',
    'http://example.com/',
    'http://user:secret@127.0.0.1/',
    'https://0.0.0.0/',
  ]) {
    const refused = await webhook('PUT', { url })
    assert.equal(refused.status, 400, url)
    assert.match(String(refused.body['message']), /url must be/)
  }
  assert.equal((await webhook('PUT', {})).status, 400)
  assert.equal((await webhook('DELETE')).status, 204)
  assert.equal((await webhook('GET')).status, 404)
  assert.equal((await webhook('DELETE')).status, 204)
  assert.equal((await server.log()).includes(receiver.secret), false)
})

test('events are delivered in order, signed with the newest secret', async () => {
  await using receiver = await startWebhookReceiver()
  await listen(receiver)
  await happen('a', 'b', 'c')
  await eventually('all three', async () => receiver.received.length === 3)
  assert.deepEqual(heard(receiver), ['a', 'b', 'c'])
  assert.equal(receiver.refused, 0)
  const { last_delivered_at: at, last_error: error } = (await webhook('GET')).body['webhook'] as Record<string, unknown>
  assert.notEqual(at, null)
  assert.equal(error, null)
})

test('what is not taken is sent again with the same id; what came meanwhile does not wait for it', async () => {
  await using receiver = await startWebhookReceiver()
  await listen(receiver)
  receiver.answers.push(500)
  await happen('stubborn', 'easy')
  await eventually('the easy one', async () => heard(receiver).includes('easy'))
  assert.deepEqual(heard(receiver), ['easy'])
  const shown = (await webhook('GET')).body['webhook'] as Record<string, unknown>
  assert.notEqual(shown['last_failed_at'], null)
  await hurry()
  await eventually('the stubborn one', async () => heard(receiver).includes('stubborn'))
  const ids = receiver.received.map(({ deliveryId }) => deliveryId)
  assert.equal(new Set(ids).size, 2)
})

test('a receiver that takes long to fail is left alone for a while', async () => {
  await using receiver = await startWebhookReceiver()
  await listen(receiver)
  receiver.answers.push(500)
  receiver.answersAfterMs = 2_100
  await happen('slow', 'after it')
  await eventually('it has failed', async () => /500/.test(await lastError()))
  assert.equal(receiver.requests, 1)
  const { rows } = await withControlDatabase(server.home, (client) =>
    client.query('select from webhook_deliveries where due_at <= now()'),
  )
  assert.deepEqual(rows, [])
  receiver.answersAfterMs = 0
  await hurry()
  await eventually('both arrive', async () => receiver.received.length === 2)
})

test('a webhook that is removed while something happens keeps it from nothing', async () => {
  await webhook('PUT', { url: 'http://127.0.0.1:9/' })
  await withControlDatabase(server.home, async (client) => {
    await client.query('begin')
    await client.query('delete from webhooks where org_id = $1', [orgId])
    const happening = happen('told to nobody')
    await eventually('it waits', async () => {
      const { rows } = await client.query<{ count: string }>('select count(*) from pg_locks where not granted')
      return Number(rows[0]?.count) > 0
    })
    await client.query('commit')
    await happening
  })
  const { events } = await page(`/organizations/${orgId}/events?limit=1`)
  assert.equal(events[0]?.message, 'told to nobody')
})

test('a redirect is no answer to follow, and a receiver that is gone holds nothing up', async () => {
  await using receiver = await startWebhookReceiver()
  await listen(receiver)
  receiver.answers.push(302)
  await happen('redirected')
  await eventually('it was asked', async () => receiver.requests === 1)
  await eventually('it is said', async () =>
    /status 302/.test(String(((await webhook('GET')).body['webhook'] as Record<string, unknown>)['last_error'])),
  )
  assert.deepEqual(heard(receiver), [])
  // Nobody listens there.
  await webhook('PUT', { url: 'http://127.0.0.1:9/' })
  await happen('to nobody')
  await hurry()
  await eventually('it is said', async () =>
    /127\.0\.0\.1:9 gave no usable answer/.test(
      String(((await webhook('GET')).body['webhook'] as Record<string, unknown>)['last_error']),
    ),
  )
  const project2 = await makeProject(server)
  assert.notEqual(project2.id, '')
  await listen(receiver)
  await hurry()
  await eventually('both arrive', async () => receiver.received.length === 2)
  assert.deepEqual(heard(receiver).toSorted(), ['redirected', 'to nobody'])
  assert.equal((await webhook('DELETE')).status, 204)
})

test('a receiver that never comes back is owed no more than the newest events', async () => {
  await webhook('PUT', { url: 'http://127.0.0.1:9/' })
  await happen(...Array.from({ length: 12 }, (_, n) => `lost ${n}`))
  const left = await withControlDatabase(server.home, async (client) => {
    const sql = asSql(client)
    await dropDeliveries(sql, { olderThanSeconds: 86_400, mostOfOne: 5 })
    const { rows } = await client.query<{ message: string }>(
      'select e.message from webhook_deliveries d join events e on e.id = d.event_id order by e.id',
    )
    await client.query(`update webhook_deliveries set created_at = now() - interval '25 hours'`)
    assert.equal(await dropDeliveries(sql, { olderThanSeconds: 86_400, mostOfOne: 5 }), 5)
    return rows.map(({ message }) => message)
  })
  assert.deepEqual(left, ['lost 7', 'lost 8', 'lost 9', 'lost 10', 'lost 11'])
  assert.equal((await webhook('DELETE')).status, 204)
})

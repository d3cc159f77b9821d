// How often accounts may call, over HTTP: what is refused, in which words, and that it is one budget for all processes.

import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { testPassword, testUser, TestPostgres } from '../../src/proxy/test-support/postgres.ts'
import { eventually } from '../support/eventually.ts'
import { assertQuiet } from '../support/quiet.ts'
import { destroyHome, makeHome, request, startServer, type Answer, type TestServer } from '../support/server.ts'

type Burst = { passed: number; refused: Answer[]; seconds: number }

/** All at once; how long that took says how much came back into the buckets meanwhile. */
async function burst(server: TestServer, count: number, path: string, { key = server.apiKey } = {}): Promise<Burst> {
  const began = performance.now()
  const headers = { authorization: `Bearer ${key}` }
  const answers = await Promise.all(
    Array.from({ length: count }, () => request(server, 'GET', path, undefined, headers)),
  )
  const refused = answers.filter(({ status }) => status === 429)
  const passed = answers.filter(({ status }) => status === 200).length
  assert.equal(passed + refused.length, count, answers.map(({ status }) => status).join(' '))
  return { passed, refused, seconds: (performance.now() - began) / 1000 }
}

function assertWithin(
  { passed, seconds }: Pick<Burst, 'passed' | 'seconds'>,
  capacity: number,
  perSecond: number,
): void {
  assert.ok(passed >= capacity, `${passed} of ${capacity}`)
  // One lease is let in on credit and charged afterwards.
  const most = capacity + Math.ceil(seconds * perSecond) + 1
  assert.ok(passed <= most, `${passed} in ${seconds} s, where ${most} are allowed`)
}

describe('rate limits', () => {
  let server: TestServer
  let userId: string
  let orgId: string

  before(async () => {
    server = await startServer({
      env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0', PGROVE_RATE_LIMIT: '600/min,10/s,consumption=6/min' },
    })
    const me = await request(server, 'GET', '/users/me')
    userId = String(me.body['id'])
    const { body } = await request(server, 'GET', '/users/me/organizations')
    orgId = (body['organizations'] as { id: string }[])[0]?.id ?? ''
  })
  after(async () => {
    await using _ = server
    await assertQuiet(server)
  })

  test('a burst is cut at what a route may have in a second, and each route has its own', async () => {
    const [regions, projects] = await Promise.all([burst(server, 50, '/regions'), burst(server, 50, '/projects')])
    for (const each of [regions, projects]) assertWithin(each, 10, 10)
    const [refused] = regions.refused
    assert.ok(refused)
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
    assert.equal(refused.body['code'], '')
    assert.match(
      String(refused.body['message']),
      /^rate limit of 10 requests a second for getActiveRegions and this account exceeded; try again in \d+ seconds?$/,
    )
    assert.equal(typeof refused.body['request_id'], 'string')
  })

  test('whoever waits as he was told gets through', async () => {
    const { refused } = await burst(server, 50, '/regions')
    const seconds = Number(refused.at(-1)?.headers.get('retry-after'))
    assert.ok(seconds >= 1 && seconds <= 2, String(seconds))
    await eventually(
      'a route gets its budget back',
      async () => (await request(server, 'GET', '/regions')).status === 200,
    )
  })

  test('the routes of consumption_history share a budget of their own', async () => {
    const statuses: number[] = []
    const began = performance.now()
    for (const path of ['projects', 'v2/projects', 'v2/branches']) {
      for (let i = 0; i < 5; i++) statuses.push((await request(server, 'GET', `/consumption_history/${path}`)).status)
    }
    const passed = statuses.filter((status) => status !== 429).length
    assertWithin({ passed, seconds: (performance.now() - began) / 1000 }, 6, 0.1)
  })

  test('an operator gives a user or an organization other limits, at once', async () => {
    const path = `/operator/users/${userId}/rate_limit`
    const usual = '600/min,10/s,api_keys=10/s,consumption=6/min'
    const set = async (text: string | null, at = path): Promise<Answer> =>
      await request(server, 'PATCH', at, { rate_limit: text })
    assert.deepEqual((await request(server, 'GET', path)).body, { rate_limit: usual, is_default: true })
    const raised = await set('30/s')
    assert.deepEqual(raised.body, {
      rate_limit: '600/min,30/s,api_keys=10/s,consumption=6/min',
      is_default: false,
    })
    assertWithin(await burst(server, 60, '/regions'), 30, 30)
    assert.equal((await set('off')).status, 200)
    assert.equal((await burst(server, 100, '/regions')).passed, 100)
    assert.equal((await set('5/s')).status, 200)
    assertWithin(await burst(server, 20, '/regions'), 5, 5)
    const back = await eventually('the budget for setting it is back', async () => {
      const answer = await set(null)
      return answer.status === 200 && answer.body
    })
    assert.deepEqual(back, { rate_limit: usual, is_default: true })
    for (const text of ['', '10', '0/s']) {
      const refused = await eventually('it is looked at', async () => {
        const answer = await set(text)
        return answer.status !== 429 && answer
      })
      assert.equal(refused.status, 400)
      assert.match(String(refused.body['message']), /rate_limit .* cannot be used: write a number/)
    }
    await eventually(
      'the budget for asking is back',
      async () => (await request(server, 'GET', path)).status === 200 && (await set(null)).status === 200,
    )
    const stranger = '00000000-0000-4000-8000-000000000000'
    assert.equal((await set('5/s', `/operator/users/${stranger}/rate_limit`)).status, 404)
    assert.equal((await set('5/s', '/operator/organizations/org-none-00000000/rate_limit')).status, 404)
  })

  test('an organization’s keys share its budget, a project’s key has one of its own, and neither is a person’s', async () => {
    const keyOf = async (body: object): Promise<string> =>
      String((await request(server, 'POST', `/organizations/${orgId}/api_keys`, body)).body['key'])
    const [first, second] = [await keyOf({ key_name: 'first' }), await keyOf({ key_name: 'second' })]
    const path = `/operator/organizations/${orgId}/rate_limit`
    assert.equal((await request(server, 'PATCH', path, { rate_limit: '4/min' })).status, 200)
    const both = await Promise.all([
      burst(server, 10, '/regions', { key: first }),
      burst(server, 10, '/projects', { key: second }),
    ])
    const together = { passed: both[0].passed + both[1].passed, seconds: Math.max(both[0].seconds, both[1].seconds) }
    assertWithin(together, 4, 4 / 60)
    assert.match(
      String(both[0].refused[0]?.body['message']),
      /^rate limit of 4 requests a minute for this account exceeded; try again in \d+ seconds$/,
    )
    const made = await request(server, 'POST', '/projects', { project: { org_id: orgId } })
    assert.equal(made.status, 201, JSON.stringify(made.body))
    const { id } = made.body['project'] as { id: string }
    const ofProject = await keyOf({ key_name: 'project', project_id: id })
    assertWithin(await burst(server, 10, `/projects/${id}`, { key: ofProject }), 4, 4 / 60)
    assert.equal((await request(server, 'GET', '/regions')).status, 200)
    assert.equal((await request(server, 'PATCH', path, { rate_limit: null })).status, 200)
  })

  test('who has no key is bounded too, and shuts out nobody who has one', async () => {
    const statuses = await Promise.all(
      Array.from(
        { length: 300 },
        async (_, i) =>
          (await request(server, 'GET', '/regions', undefined, { authorization: `Bearer napi_${i}` })).status,
      ),
    )
    assert.ok(statuses.every((status) => status === 401 || status === 429))
    assert.ok(statuses.includes(429))
    assert.equal((await request(server, 'GET', '/projects')).status, 200)
  })
})

test('two control planes with one database share one budget', async (t) => {
  const postgres = await TestPostgres.start()
  const homes = [await makeHome(), await makeHome()]
  const servers: TestServer[] = []
  t.after(async () => {
    for (const each of servers) await each.stop()
    for (const each of homes) await destroyHome(each)
    await postgres[Symbol.asyncDispose]()
  })
  const url = `postgresql://${testUser}:${encodeURIComponent(testPassword)}@${encodeURIComponent(postgres.socketDir)}/postgres`
  for (const home of homes) {
    if (servers[0]) await copyFile(join(servers[0].home, 'credentials.json'), join(home, 'credentials.json'))
    servers.push(
      await startServer({
        home,
        keepHome: true,
        env: {
          PGROVE_STORAGE: 'copy',
          PGROVE_WARM_POOL: '0,0',
          PGROVE_CONTROL_DATABASE_URL: url,
          PGROVE_MASTER_KEY: 'the master key of two homes that share a database',
          PGROVE_RATE_LIMIT: '60/min,1000/s',
        },
      }),
    )
  }
  const began = performance.now()
  const bursts = await Promise.all(servers.map((server) => burst(server, 100, '/regions')))
  const passed = bursts.reduce((sum, each) => sum + each.passed, 0)
  const seconds = (performance.now() - began) / 1000
  assert.ok(passed <= 60 + Math.ceil(seconds) + servers.length, `${passed} in ${seconds} s`)
  assert.ok(passed >= 55, String(passed))
})

// API keys: made, used, shown without their secret, and revoked.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { organizationNamed } from '../support/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { withControlDatabase } from '../support/faults.ts'
import { assertRefused, type NeonApi } from '../support/neon.ts'
import { assertQuiet } from '../support/quiet.ts'
import { apiClient, request, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let api: NeonApi

before(async () => {
  server = await startServer({ env: { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' } })
  api = apiClient(server)
})
after(async () => {
  await using _ = server
  await assertQuiet(server)
})

const statusWith = async (key: string): Promise<number> =>
  (await request(server, 'GET', '/users/me', undefined, { authorization: `Bearer ${key}` })).status

test('a key is shown once, opens the API, and ends when it is revoked', async () => {
  const { status, data: made } = await api.createApiKey({ key_name: 'ci' })
  assert.equal(status, 200)
  assert.match(made.key, /^napi_[a-z0-9]{64}$/)
  assert.equal(made.name, 'ci')
  assert.ok(Number.isInteger(made.id))
  const { data: me } = await api.getCurrentUserInfo()
  assert.equal(made.created_by, me.id)

  const unused = (await api.listApiKeys()).data.find(({ id }) => id === made.id)
  assert.ok(unused)
  assert.equal(unused.last_used_at ?? null, null)
  assert.equal(unused.last_used_from_addr, '')
  assert.deepEqual(unused.created_by, { id: me.id, name: me.name, image: '' })
  assert.ok(!('key' in unused))

  assert.equal(await statusWith(made.key), 200)
  const used = (await api.listApiKeys()).data.find(({ id }) => id === made.id)
  assert.ok(Date.parse(String(used?.last_used_at)) > 0)
  assert.match(used?.last_used_from_addr ?? '', /127\.0\.0\.1|::1/)

  const { status: revoked, data } = await api.revokeApiKey(made.id)
  assert.equal(revoked, 200)
  assert.equal(data.revoked, true)
  assert.equal(data.id, made.id)
  assert.equal(data.name, 'ci')
  assert.equal(await statusWith(made.key), 401)
  assert.ok((await api.listApiKeys()).data.every(({ id }) => id !== made.id))
  await assertRefused(api.revokeApiKey(made.id), 404, /API key not found/)
})

test('a key that is being revoked leaves none behind', async () => {
  const { data: made } = await api.createApiKey({ key_name: 'stolen' })
  const thief = { ...server, apiKey: made.key }
  const orgId = await organizationNamed(thief, 'paid')
  const attempts = await withControlDatabase(server.home, async (rows) => {
    await rows.query('begin')
    await rows.query('update api_keys set revoked_at = now() where id = $1', [made.id])
    // Each has been let in, and waits for what becomes of the key.
    const waiting = [
      request(thief, 'POST', '/api_keys', { key_name: 'left behind' }),
      request(thief, 'POST', `/organizations/${orgId}/api_keys`, { key_name: 'left behind' }),
    ]
    await eventually('both of them wait', async () => {
      const { rows: found } = await rows.query<{ count: string }>(
        'select count(distinct pid) from pg_locks where not granted',
      )
      return Number(found[0]?.count) >= waiting.length
    })
    await rows.query('commit')
    return await Promise.all(waiting)
  })
  assert.deepEqual(
    attempts.map(({ status }) => status),
    [401, 401],
  )
  const left = [...(await api.listApiKeys()).data, ...(await api.listOrgApiKeys(orgId)).data]
  assert.ok(left.every(({ name }) => name !== 'left behind'))
})

test('the list is a bare array with the key that start printed', async () => {
  const { data } = await api.listApiKeys()
  assert.ok(Array.isArray(data))
  assert.ok(data.length >= 1)
})

test('keys that cannot be are refused', async () => {
  for (const [body, message] of [
    [{}, /key_name \(field required\)/],
    [{ key_name: '' }, /name/],
    [{ key_name: 'x'.repeat(65) }, /key_name|name/],
    [{ key_name: 7 }, /key_name/],
  ] as const) {
    const { status, body: answer } = await request(server, 'POST', '/api_keys', body)
    assert.equal(status, 400, JSON.stringify(body))
    assert.match(String(answer['message']), message)
  }
  await assertRefused(api.revokeApiKey(999_999_999), 404, /API key not found/)
  assert.equal((await request(server, 'DELETE', '/api_keys/not-a-number')).status, 400)
  assert.equal((await request(server, 'DELETE', '/api_keys/99999999999999999999')).status, 400)
})

test('without a valid key there is nothing, whatever the header looks like', async () => {
  const [, key = ''] = /^napi_(.*)$/.exec(server.apiKey) ?? []
  for (const authorization of [
    '',
    'Bearer',
    'Bearer ',
    'Bearer napi_',
    `Bearer ${server.apiKey}x`,
    `Bearer ${key}`,
    `Basic ${Buffer.from(`x:${server.apiKey}`).toString('base64')}`,
    `Token ${server.apiKey}`,
    server.apiKey,
    `Bearer ${'x'.repeat(4000)}`,
    `Bearer ' or 1=1 --`,
  ]) {
    const { status, headers, body } = await request(server, 'GET', '/users/me', undefined, { authorization })
    assert.equal(status, 401, authorization.slice(0, 40))
    assert.equal(headers.get('www-authenticate'), 'Bearer')
    assert.equal(body['code'], '')
    assert.equal(body['request_id'], headers.get('x-neon-ret-request-id'))
  }
  assert.equal(
    (await request(server, 'GET', '/users/me', undefined, { authorization: `bearer ${server.apiKey}` })).status,
    200,
  )
})

test('a key is nowhere to be read but where it was given', async () => {
  const { data } = await api.createApiKey({ key_name: 'secret' })
  assert.equal(await statusWith(data.key), 200)
  const found = spawnSync('grep', ['-rlaF', data.key, server.home], { encoding: 'utf8' }).stdout.trim()
  assert.equal(found, '', 'neither in the control database nor in a log')
  const credentials = join(server.home, 'credentials.json')
  const first = spawnSync('grep', ['-rlaF', server.apiKey, server.home], { encoding: 'utf8' }).stdout.trim()
  assert.equal(first, credentials)
})

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Control } from '../control/control.ts'
import { silentLogger } from '../lib/logger.ts'
import { AppError } from '../model/errors.ts'
import { contractCacheFolder } from './contract/coverage-page.ts'
import { loadContract } from './contract/load.ts'
import * as fake from './fake-control.ts'
import { createApiServer } from './server.ts'

const contract = await loadContract({ cacheFolder: contractCacheFolder() })

function api(t: TestContext, control: Control) {
  const server = createApiServer({ control, contract, log: silentLogger, checkResponses: true })
  t.after(() => server.close())
  return async (key: string | undefined, body: unknown) =>
    await server.inject({
      method: 'POST',
      url: '/api/v2/projects',
      headers: { authorization: `Bearer ${fake.validKey}`, ...(key === undefined ? {} : { 'idempotency-key': key }) },
      payload: body as object,
    })
}

function counting(create: (count: number) => Promise<void> = async () => {}) {
  let count = 0
  const plain = fake.fakeControl()
  const control = fake.fakeControl({
    projects: {
      create: async (caller, input) => {
        await create(++count)
        return await plain.projects.create(caller, input)
      },
    },
  })
  return { control, count: () => count }
}

test('a repeated POST with the same key is done once and answered with the same words', async (t) => {
  const { control, count } = counting()
  const post = api(t, control)
  const first = await post('k1', { project: { name: 'a' } })
  const second = await post('k1', { project: { name: 'a' } })
  assert.equal(count(), 1)
  assert.equal(second.statusCode, 201)
  assert.equal(second.body, first.body)
  assert.equal(first.headers['idempotency-replayed'], undefined)
  assert.equal(second.headers['idempotency-replayed'], 'true')
  await post('k2', { project: { name: 'a' } })
  await post(undefined, { project: { name: 'a' } })
  assert.equal(count(), 3)
})

test('a key with another body is refused; while the first is being answered, the second waits its turn', async (t) => {
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const { control, count } = counting(async () => {
    begin()
    await held
  })
  const post = api(t, control)
  const first = post('k', { project: { name: 'a' } })
  await begun
  const meanwhile = await post('k', { project: { name: 'a' } })
  assert.equal(meanwhile.statusCode, 423)
  assert.equal(meanwhile.headers['retry-after'], '1')
  release()
  assert.equal((await first).statusCode, 201)
  assert.equal((await post('k', { project: { name: 'b' } })).statusCode, 422)
  assert.equal(count(), 1)
})

test('a refusal frees the key', async (t) => {
  const { control, count } = counting(async (count) => {
    if (count === 1) throw new AppError('locked', 'busy')
  })
  const post = api(t, control)
  assert.equal((await post('k', { project: {} })).statusCode, 423)
  assert.equal((await post('k', { project: {} })).statusCode, 201)
  assert.equal((await post('k', { project: {} })).statusCode, 201)
  assert.equal(count(), 2)
})

test('an answer stands even when its key cannot be settled', async (t) => {
  const { control } = counting()
  control.idempotency.finish = () => Promise.reject(new Error('database away'))
  assert.equal((await api(t, control)('k', { project: {} })).statusCode, 201)
})

test('a key that is none is refused before anything is done', async (t) => {
  const { control, count } = counting()
  for (const key of ['', 'a b', 'x'.repeat(256)])
    assert.equal((await api(t, control)(key, { project: {} })).statusCode, 400)
  assert.equal(count(), 0)
})

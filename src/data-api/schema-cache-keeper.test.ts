import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../lib/logger.ts'
import { isDataApiError } from './errors.ts'
import type { SchemaCache } from './schema-cache/schema-cache.ts'
import { SchemaCacheKeeper } from './schema-cache-keeper.ts'

/** Loads end when they are told to. */
function fake(): { keeper: SchemaCacheKeeper; loads: { end: (loadedAt: number) => void; fail: () => void }[] } {
  const loads: { end: (loadedAt: number) => void; fail: () => void }[] = []
  const keeper = new SchemaCacheKeeper(() => {
    const { promise, resolve, reject } = Promise.withResolvers<SchemaCache>()
    loads.push({ end: (loadedAt) => resolve({ loadedAt } as SchemaCache), fail: () => reject(new Error('away')) })
    return promise
  }, silentLogger)
  return { keeper, loads }
}
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('all who ask share one look, and what it saw is kept', async () => {
  const { keeper, loads } = fake()
  const asked = Promise.all([keeper.get(), keeper.get()])
  loads[0]?.end(1)
  assert.deepEqual(
    (await asked).map(({ loadedAt }) => loadedAt),
    [1, 1],
  )
  assert.equal((await keeper.get()).loadedAt, 1)
  assert.equal(loads.length, 1)
})

test('a change that is heard of during a look is seen by those who ask after it', async () => {
  const { keeper, loads } = fake()
  const before = keeper.get()
  keeper.reload()
  const after = keeper.get()
  loads[0]?.end(1)
  assert.equal((await before).loadedAt, 1)
  await tick()
  loads[1]?.end(2)
  assert.equal((await after).loadedAt, 2)
  assert.equal((await keeper.get()).loadedAt, 2)
  assert.equal(loads.length, 2)
})

test('where it cannot be looked at, what was known serves, and the next one looks again', async () => {
  const { keeper, loads } = fake()
  const none = keeper.get().catch((error: unknown) => error)
  loads[0]?.fail()
  const refused = await none
  assert.equal(isDataApiError(refused) && refused.code, 'PGRST002')
  const first = keeper.get()
  loads[1]?.end(1)
  await first
  keeper.reload()
  const old = keeper.get()
  loads[2]?.fail()
  assert.equal((await old).loadedAt, 1)
  const newer = keeper.get()
  loads[3]?.end(2)
  assert.equal((await newer).loadedAt, 2)
})

test('another look is taken for a name that is missing, unless what is known is young', async () => {
  const { keeper, loads } = fake()
  const first = keeper.get()
  loads[0]?.end(performance.now())
  assert.equal(await keeper.again(await first), undefined)
  keeper.reload()
  const old = keeper.get()
  loads[1]?.end(performance.now() - 10_000)
  const again = keeper.again(await old)
  loads[2]?.end(3)
  assert.equal((await again)?.loadedAt, 3)
})

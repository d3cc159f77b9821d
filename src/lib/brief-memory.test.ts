import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BriefMemory } from './brief-memory.ts'

test('an answer is kept ten times as long as it took, and no longer', async (t) => {
  let now = 1_000
  t.mock.method(performance, 'now', () => now)
  const memory = new BriefMemory<number>()
  let runs = 0
  const ask = (): Promise<number> =>
    memory.run('a', async () => {
      now += 50
      return ++runs
    })
  assert.deepEqual(await Promise.all([ask(), ask()]), [1, 1])
  now += 499
  assert.equal(await ask(), 1)
  now += 2
  assert.equal(await ask(), 2)
  assert.equal(await memory.run('b', async () => 9), 9)
})

test('a failure is not kept, and what is kept is bounded', async (t) => {
  t.mock.method(performance, 'now', () => 0)
  const memory = new BriefMemory<number>()
  await assert.rejects(memory.run('a', () => Promise.reject(new Error('away'))))
  assert.equal(await memory.run('a', async () => 1), 1)
  for (let i = 0; i < 2_000; i++) await memory.run(String(i), async () => i)
})

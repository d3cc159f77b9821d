import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FairQueue } from './fair-queue.ts'

class Full extends Error {}

function setUp({ atOnce = 1, room = 4 } = {}) {
  const order: string[] = []
  const open: PromiseWithResolvers<void>[] = []
  // Nothing takes any time: what is expected stays what it was.
  const queue = new FairQueue({
    atOnce,
    longestWaitMs: room * 100,
    expectedMs: 100,
    overflow: (seconds) => new Full(String(seconds)),
    now: () => 0,
  })
  const ask = (key: string): Promise<string> => {
    const asked = queue.run(key, async () => {
      order.push(key)
      const gate = Promise.withResolvers<void>()
      open.push(gate)
      await gate.promise
      return 'done'
    })
    return asked.catch((error: unknown) => {
      if (error instanceof Full) return 'full'
      throw error
    })
  }
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const finishOne = async (): Promise<void> => {
    open.shift()?.resolve()
    await settle()
  }
  return { queue, order, ask, finishOne }
}

test('who asks once is not behind all that another asked for before', async () => {
  const { order, ask, finishOne } = setUp({ room: 10 })
  const all = ['a', 'a', 'a', 'a', 'b'].map(ask)
  for (let i = 0; i < 5; i++) await finishOne()
  assert.deepEqual(await Promise.all(all), Array(5).fill('done'))
  assert.deepEqual(order, ['a', 'a', 'b', 'a', 'a'])
})

test('no more wait than there is room for', async () => {
  const { queue, ask, finishOne } = setUp()
  // The waiting ones count as having taken their time only after they ran; room is what was expected at first.
  const all = Array.from({ length: 8 }, () => ask('a'))
  assert.deepEqual(queue.counts, { running: 1, waiting: 4 })
  assert.deepEqual(await Promise.all(all.slice(5)), ['full', 'full', 'full'])
  for (let i = 0; i < 5; i++) await finishOne()
  assert.deepEqual(await Promise.all(all.slice(0, 5)), Array(5).fill('done'))
  assert.deepEqual(queue.counts, { running: 0, waiting: 0 })
})

test('where there is no room, whoever has most waiting makes some', async () => {
  const { order, ask, finishOne } = setUp()
  const flood = Array.from({ length: 5 }, () => ask('flood'))
  const other = ask('other')
  assert.equal(await flood[4], 'full')
  for (let i = 0; i < 5; i++) await finishOne()
  assert.equal(await other, 'done')
  assert.deepEqual(order.slice(0, 3), ['flood', 'flood', 'other'])
})

test('work that fails makes room as well, and who fails hears why', async () => {
  const { queue, ask, finishOne } = setUp()
  await assert.rejects(
    queue.run('a', () => Promise.reject(new Error('no'))),
    /no/,
  )
  const next = ask('a')
  await finishOne()
  assert.equal(await next, 'done')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Permits } from './permits.ts'

const refusal = (): Error => new Error('no room')

test('so many have one at a time, in the order in which they came', async () => {
  const permits = new Permits(1, 2)
  const order: string[] = []
  const first = await permits.acquire(10_000, refusal)
  const waiting = ['a', 'b'].map(async (name) => {
    const release = await permits.acquire(10_000, refusal)
    order.push(name)
    release()
  })
  await assert.rejects(permits.acquire(10_000, refusal), { message: 'no room' }, 'two wait already')
  assert.deepEqual(order, [])
  first()
  await Promise.all(waiting)
  assert.deepEqual(order, ['a', 'b'])
})

test('whoever waits for too long leaves the queue, and what is given back twice counts once', async () => {
  const permits = new Permits(1, 1)
  const held = await permits.acquire(10_000, refusal)
  await assert.rejects(permits.acquire(1, refusal), { message: 'no room' })
  held()
  held()
  const again = await permits.acquire(1, refusal)
  await assert.rejects(permits.acquire(1, refusal), { message: 'no room' })
  again()
})

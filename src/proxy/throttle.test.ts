import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { Refusal } from './refusal.ts'
import { Throttle } from './throttle.ts'

function clock(t: TestContext): { pass: (ms: number) => Promise<void> } {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
  return {
    pass: async (ms) => {
      t.mock.timers.tick(ms)
      await setImmediate()
    },
  }
}

async function fail(
  throttle: Throttle,
  passing: (ms: number) => Promise<void>,
  times: number,
  address = '9.9.9.9',
): Promise<void> {
  for (let n = 0; n < times; n++) {
    const failed = throttle.failed('ep-a', address)
    await passing(20)
    await failed
  }
}

async function isMadeToWait(throttle: Throttle, endpointId: string, address: string): Promise<boolean> {
  let done = false
  void throttle.turn(endpointId, address).then(() => (done = true))
  await setImmediate()
  return !done
}

test('a few mistakes cost nothing, many make everybody from that network wait, for that endpoint', async (t) => {
  const { pass } = clock(t)
  const throttle = new Throttle()
  await fail(throttle, pass, 5)
  assert.ok(!(await isMadeToWait(throttle, 'ep-a', '9.9.9.9')))
  await fail(throttle, pass, 5)
  assert.ok(await isMadeToWait(throttle, 'ep-a', '9.9.9.9'))
  assert.ok(await isMadeToWait(throttle, 'ep-a', '::ffff:9.9.9.200'))
  assert.ok(!(await isMadeToWait(throttle, 'ep-a', '9.9.8.9')))
  assert.ok(!(await isMadeToWait(throttle, 'ep-b', '9.9.9.9')))
  await pass(120_000)
  assert.ok(!(await isMadeToWait(throttle, 'ep-a', '9.9.9.9')))
})

test('the pause has an end, and few may wait in it', async (t) => {
  const { pass } = clock(t)
  const throttle = new Throttle()
  await fail(throttle, pass, 200)
  const turns = Array.from({ length: 100 }, () => throttle.turn('ep-a', '9.9.9.9'))
  await assert.rejects(throttle.turn('ep-a', '9.9.9.9'), (error) => error instanceof Refusal)
  await pass(5_000)
  for (const turn of await Promise.all(turns)) turn[Symbol.dispose]()
  assert.ok(await isMadeToWait(throttle, 'ep-a', '9.9.9.9'))
})

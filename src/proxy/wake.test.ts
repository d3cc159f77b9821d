import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '../model/errors.ts'
import type { WokenCompute } from './control-plane.ts'
import { Waker } from './wake.ts'

class SlowControl {
  readonly pending: PromiseWithResolvers<WokenCompute>[] = []
  wake(): Promise<WokenCompute> {
    const answer = Promise.withResolvers<WokenCompute>()
    this.pending.push(answer)
    return answer.promise
  }
  answer(generation: string): void {
    this.pending.shift()?.resolve({ socketDir: `/run/${generation}`, generation })
  }
}

test('many ask, one wake answers all, and later ones need none', async () => {
  const control = new SlowControl()
  const waker = new Waker(control, { woken: () => {} })
  const asked = Array.from({ length: 100 }, () => waker.compute('ep-a'))
  assert.equal(control.pending.length, 1)
  control.answer('1')
  assert.deepEqual(new Set((await Promise.all(asked)).map(({ generation }) => generation)), new Set(['1']))
  assert.equal((await waker.compute('ep-a')).generation, '1')
})

test('a failed wake is not remembered', async () => {
  const control = new SlowControl()
  const waker = new Waker(control, { woken: () => {} })
  const failing = waker.compute('ep-a')
  control.pending.shift()?.reject(new Error('no'))
  await assert.rejects(failing)
  const again = waker.compute('ep-a')
  control.answer('1')
  assert.equal((await again).generation, '1')
})

test('that a quota forbids it is remembered for a moment, and forgotten with a change', async () => {
  const control = new SlowControl()
  const waker = new Waker(control, { woken: () => {} })
  const exceeded = new AppError('quota_exceeded', 'used up', { apiCode: 'ACTIVE_TIME_QUOTA_EXCEEDED' })
  const failing = waker.compute('ep-a')
  control.pending.shift()?.reject(exceeded)
  await assert.rejects(failing, exceeded)
  for (let n = 0; n < 100; n++) await assert.rejects(waker.compute('ep-a'), exceeded)
  assert.equal(control.pending.length, 0)
  waker.forget('ep-a')
  const raised = waker.compute('ep-a')
  control.answer('1')
  assert.equal((await raised).generation, '1')
})

test('an answer from before a change is kept for nobody', async () => {
  const control = new SlowControl()
  const waker = new Waker(control, { woken: () => {} })
  for (const forget of [() => waker.forget('ep-a'), () => waker.forgetAll()]) {
    forget()
    const before = waker.compute('ep-a')
    forget()
    const after = waker.compute('ep-a')
    assert.equal(control.pending.length, 2)
    control.answer('old')
    control.answer('new')
    assert.equal((await before).generation, 'old')
    assert.equal((await after).generation, 'new')
    assert.equal((await waker.compute('ep-a')).generation, 'new')
  }
})

test('only the address that failed is forgotten', async () => {
  const control = new SlowControl()
  const waker = new Waker(control, { woken: () => {} })
  const first = waker.compute('ep-a')
  control.answer('1')
  await first
  waker.forgetStale('ep-a', { socketDir: '/run/0', generation: '0' })
  assert.equal((await waker.compute('ep-a')).generation, '1')
  waker.forgetStale('ep-a', await first)
  const second = waker.compute('ep-a')
  control.answer('2')
  assert.equal((await second).generation, '2')
})

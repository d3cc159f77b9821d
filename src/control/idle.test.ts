import assert from 'node:assert/strict'
import { test } from 'node:test'
import { awakeReasons, parkingPlan } from './idle.ts'

const heldSessionMs = 60_000
const plan = (now: number, held?: { askedAt: number }): ReturnType<typeof parkingPlan> =>
  parkingPlan({ now, lastActivityAt: 0, held, heldSessionMs })

test('sessions with state are asked about every few seconds, until their time is over', () => {
  assert.deepEqual(plan(1_000), { asks: true, endHeld: false })
  assert.deepEqual(plan(1_000, { askedAt: 500 }), { asks: false, endHeld: false })
  assert.deepEqual(plan(10_000, { askedAt: 5_000 }), { asks: true, endHeld: false })
  assert.deepEqual(plan(60_000, { askedAt: 59_999 }), { asks: true, endHeld: true })
})

test('where they are not to be waited for, they are ended at once', () => {
  assert.deepEqual(parkingPlan({ now: 0, lastActivityAt: 0, held: undefined, heldSessionMs: 0 }), {
    asks: true,
    endHeld: true,
  })
})

test('sessions with state are a reason of their own, also for a compute that is quiet', () => {
  const input = { now: 10_000, lastActivityAt: 0, suspendTimeoutSeconds: 1, backends: undefined }
  assert.deepEqual(awakeReasons(input), [])
  assert.deepEqual(awakeReasons({ ...input, heldSessions: 2 }), [{ kind: 'session_state', count: 2 }])
})

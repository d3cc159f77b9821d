import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drainUserEvents } from './user-events.ts'

test('there is an end to what a database has to tell', async () => {
  const row = { id: crypto.randomUUID(), type: 'user.created', body: {}, created_at: new Date() }
  const endless = { query: async () => Array.from({ length: 100 }, () => row) as never[] }
  let told = 0
  const recordEvents = async (_id: string, events: readonly unknown[]): Promise<void> => {
    told += events.length
  }
  await drainUserEvents(endless, { recordEvents }, crypto.randomUUID())
  assert.equal(told, 2_000)
})

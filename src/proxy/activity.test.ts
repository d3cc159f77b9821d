import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../lib/logger.ts'
import { ActivityLedger } from './activity.ts'
import type { EndpointActivity } from './control-plane.ts'

function ledgerFor(report: (activity: readonly EndpointActivity[]) => Promise<void>): ActivityLedger {
  return new ActivityLedger({ reportActivity: report }, silentLogger)
}

test('only what changed is reported, as totals, and at most four times a second', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000 })
  const reports: (readonly EndpointActivity[])[] = []
  const ledger = ledgerFor(async (activity) => void reports.push(activity))
  const a = ledger.meter('ep-a')
  ledger.meter('ep-b')
  a.sessionOpened()
  for (let chunk = 0; chunk < 100; chunk++) {
    a.bytesToClient += 10
    a.touch()
  }
  t.mock.timers.tick(249)
  assert.equal(reports.length, 0)
  t.mock.timers.tick(1)
  await Promise.resolve()
  const expected = {
    endpointId: 'ep-a',
    sessions: 1,
    activeSessions: 0,
    lastActivityAt: 1_000,
    bytesToClient: 1_000,
    bytesFromClient: 0,
  }
  assert.deepEqual(reports, [[expected]])
  t.mock.timers.tick(10_000)
  assert.equal(reports.length, 1)
  a.sessionClosed()
  await ledger.close()
  assert.equal(reports[1]?.[0]?.sessions, 0)
})

test('what could not be reported is reported later, and everything again when control is back', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const reports: string[][] = []
  let away = true
  const ledger = ledgerFor(async (activity) => {
    if (away) throw new Error('away')
    reports.push(activity.map(({ endpointId }) => endpointId))
  })
  const settle = async (): Promise<void> => {
    t.mock.timers.tick(250)
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }
  ledger.meter('ep-a').touch()
  await settle()
  assert.deepEqual(reports, [])
  away = false
  ledger.meter('ep-b').touch()
  await settle()
  assert.deepEqual(reports, [['ep-a', 'ep-b']])
  ledger.repeatAll()
  await settle()
  assert.deepEqual(reports[1], ['ep-a', 'ep-b'])
})

test('a report of thousands is cut into pieces', async () => {
  const sizes: number[] = []
  const ledger = ledgerFor(async (activity) => void sizes.push(activity.length))
  for (let n = 0; n < 2_500; n++) ledger.meter(`ep-${n}`).touch()
  await ledger.close()
  assert.deepEqual(sizes, [1_000, 1_000, 500])
})

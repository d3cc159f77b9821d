import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BranchId, EndpointId, ProjectId, TimelineId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import { addUsage, noUsage, type Usage } from '../../model/usage.ts'
import { joined, Ledger } from './ledger.ts'

const hour = 3_600_000
const place = { projectId: 'p' as ProjectId, branchId: 'b' as BranchId, endpointId: 'ep' as EndpointId }
const timelineId = 't' as TimelineId

function ledgerWithSum(): { ledger: Ledger; sum: () => Usage } {
  let sum = noUsage
  const ledger = new Ledger((_place, usage) => {
    sum = addUsage(sum, usage)
  })
  return { ledger, sum: () => sum }
}

test('a compute counts from start to stop, each part at the size it had', () => {
  const { ledger, sum } = ledgerWithSum()
  ledger.start({ timelineId, ...place, cu: 0.25, since: 1000 })
  ledger.resize(timelineId, 2, 5000)
  ledger.resize(timelineId, 2, 6000)
  assert.deepEqual(ledger.runningUsage('p', 0, 7000), { ...noUsage, activeSeconds: 2, computeSeconds: 4 })
  assert.deepEqual(ledger.runningUsage('p', 6500, 7000), { ...noUsage, activeSeconds: 0.5, computeSeconds: 1 })
  ledger.accrue(timelineId, 7000)
  ledger.accrue(timelineId, 6000)
  ledger.stop(timelineId, 9000)
  ledger.stop(timelineId, 10_000)
  assert.deepEqual(sum(), { ...noUsage, activeSeconds: 8, computeSeconds: 1 + 8 })
  const content = ledger.take()
  assert.deepEqual(
    content?.intervals.map(({ since, until, cu }) => [since, until, cu]),
    [
      [1000, 5000, 0.25],
      [5000, 7000, 2],
      [7000, 9000, 2],
    ],
  )
  assert.deepEqual([content?.started, content?.stopped, content?.branches], [[], [timelineId], ['b']])
  assert.equal(ledger.take(), undefined)
})

test('another endpoint on the same timeline ends what served before', () => {
  const { ledger } = ledgerWithSum()
  ledger.start({ timelineId, ...place, cu: 1, since: 0 })
  ledger.start({ timelineId, ...place, endpointId: 'other' as EndpointId, cu: 1, since: 500 })
  const content = ledger.take()
  assert.deepEqual(
    content?.intervals.map(({ endpointId, until }) => [endpointId, until]),
    [['ep', 500]],
  )
  assert.deepEqual(
    content?.started.map(({ endpointId, since }) => [endpointId, since]),
    [['other', 500]],
  )
})

test('what is added is told by the hour, so that a period that begins within it gets its share', () => {
  const told: [number, number][] = []
  const ledger = new Ledger((_place, usage, at) => told.push([at, usage.activeSeconds]))
  ledger.addInterval({ ...place, cu: 1, since: hour - 2000, until: hour + 3000 })
  assert.deepEqual(told, [
    [hour - 2000, 2],
    [hour, 3],
  ])
})

test('two deliveries together say what they said apart', () => {
  const [first, second] = [0, 1].map((round) => {
    const { ledger } = ledgerWithSum()
    ledger.addBytes({ ...place, at: 10 + round, writtenBytes: 5, transferBytes: 1 })
    ledger.readLog({ timelineId, lsn: BigInt(100 + round) as Lsn, writtenBytes: 5 })
    ledger.readEdge({ run: 'r', endpointId: 'ep', bytes: 1 + round })
    ledger.start({ timelineId, ...place, cu: 1, since: round * 1000 })
    ledger.accrue(timelineId, round * 1000 + 500)
    if (round === 1) ledger.stop(timelineId, 1700)
    return ledger.take()
  })
  assert.ok(first && second)
  const both = joined(first, second)
  assert.deepEqual(both.bytes, [{ ...place, at: 10, writtenBytes: 10, transferBytes: 2 }])
  assert.deepEqual(both.logs, [{ timelineId, lsn: 101n, writtenBytes: 10 }])
  assert.deepEqual(both.edges, [{ run: 'r', endpointId: 'ep', bytes: 2 }])
  assert.deepEqual([both.started, both.stopped], [[], [timelineId]])
  assert.deepEqual(
    both.intervals.map(({ since, until }) => [since, until]),
    [
      [0, 500],
      [1000, 1500],
      [1500, 1700],
    ],
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BranchId, EndpointId, ProjectId, TimelineId } from '../../model/ids.ts'
import { takeUp, type Adopted, type EndpointTimes } from './take-up.ts'

const place = { projectId: 'p' as ProjectId, branchId: 'b' as BranchId, endpointId: 'ep' as EndpointId }
const timelineId = 't' as TimelineId
const row = { timelineId, ...place, cu: 1, since: 1000 }
const adopted: Adopted = { timelineId, ...place, cu: 2 }
const times = (startedAt?: number, suspendedAt?: number): EndpointTimes => new Map([['ep', { startedAt, suspendedAt }]])

const cases: {
  what: string
  rows: (typeof row)[]
  adopted: Adopted[]
  times: EndpointTimes
  ended: [since: number, until: number][]
  running: [cu: number, since: number][]
  gone: number
}[] = [
  {
    what: 'what goes on running counts on, at the size that is stored',
    rows: [row],
    adopted: [adopted],
    times: times(900),
    ended: [],
    running: [[1, 1000]],
    gone: 0,
  },
  {
    what: 'what does not run any more ran until the last sign of life',
    rows: [row],
    adopted: [],
    times: times(900),
    ended: [[1000, 4000]],
    running: [],
    gone: 1,
  },
  {
    what: 'or until it was suspended, where the journal says so',
    rows: [row],
    adopted: [],
    times: times(900, 4300),
    ended: [[1000, 4300]],
    running: [],
    gone: 1,
  },
  {
    what: 'a start that was not stored is the journal’s',
    rows: [],
    adopted: [adopted],
    times: times(4200, 3000),
    ended: [],
    running: [[2, 4200]],
    gone: 0,
  },
  {
    what: 'and without one it begins now',
    rows: [],
    adopted: [adopted],
    times: times(3000, 4200),
    ended: [],
    running: [[2, 5000]],
    gone: 0,
  },
  {
    what: 'stopped and started again, neither of which was stored',
    rows: [row],
    adopted: [adopted],
    times: times(4500, 4100),
    ended: [[1000, 4100]],
    running: [[2, 4500]],
    gone: 0,
  },
  {
    what: 'another endpoint’s by now',
    rows: [row],
    adopted: [{ ...adopted, endpointId: 'other' as EndpointId }],
    times: times(900),
    ended: [[1000, 4000]],
    running: [[2, 5000]],
    gone: 0,
  },
]

for (const { what, ended, running, gone, ...given } of cases) {
  test(what, () => {
    const taken = takeUp({ ...given, aliveAt: 4000, now: 5000 })
    assert.deepEqual(
      taken.ended.map(({ since, until }) => [since, until]),
      ended,
    )
    assert.deepEqual(
      taken.running.map(({ cu, since }) => [cu, since]),
      running,
    )
    assert.equal(taken.gone.length, gone)
  })
}

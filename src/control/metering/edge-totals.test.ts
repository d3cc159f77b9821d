import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EdgeTotals, isAbsurd } from './edge-totals.ts'

function settleAll(edges: EdgeTotals): [string, number][] {
  return edges.growths().map((growth) => {
    edges.settle(growth.reading)
    return [growth.reading.endpointId, growth.bytes]
  })
}

test('only what is new counts, however often a total is told', () => {
  const edges = new EdgeTotals()
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 100 }])
  assert.deepEqual(edges.growths(), [], 'nothing, as long as it is not known what was accounted for before')
  assert.ok(edges.hasNews)
  edges.learn(['run'], [])
  assert.deepEqual(settleAll(edges), [['ep', 100]])
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 100 }])
  assert.deepEqual([edges.hasNews, settleAll(edges)], [false, []])
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 130 }])
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 150 }])
  assert.deepEqual(settleAll(edges), [['ep', 50]])
})

test('a new control process counts on from what is stored; another run of the proxy begins at nothing', () => {
  const edges = new EdgeTotals()
  edges.note('old', [{ endpointId: 'ep', bytesToClient: 100 }])
  edges.note('new', [{ endpointId: 'ep', bytesToClient: 7 }])
  assert.deepEqual(edges.unknownRuns(), ['old', 'new'])
  edges.learn(['old', 'new'], [{ run: 'old', endpointId: 'ep', bytes: 60 }])
  assert.deepEqual(settleAll(edges), [
    ['ep', 40],
    ['ep', 7],
  ])
})

test('what comes while a growth is being accounted for is not lost', () => {
  const edges = new EdgeTotals()
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 10 }])
  edges.learn(['run'], [])
  const [growth] = edges.growths()
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 25 }])
  if (growth) edges.settle(growth.reading)
  assert.deepEqual(settleAll(edges), [['ep', 15]])
})

test('a proxy that lies counts for nothing: shrinking totals, impossible jumps, no numbers, endpoints without end', () => {
  const edges = new EdgeTotals()
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 1000 }])
  edges.learn(['run'], [])
  settleAll(edges)
  for (const bytesToClient of [999, 0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, 1000.5])
    edges.note('run', [{ endpointId: 'ep', bytesToClient }])
  assert.deepEqual(settleAll(edges), [])
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 2 ** 50 }])
  const [jump] = edges.growths()
  assert.ok(jump && isAbsurd(jump))
  edges.settle(jump.reading)
  edges.note('run', [{ endpointId: 'ep', bytesToClient: 2 ** 50 + 5 }])
  assert.deepEqual(settleAll(edges), [['ep', 5]])
  edges.note(
    'run',
    Array.from({ length: 200_000 }, (_, index) => ({ endpointId: `ep-${index}`, bytesToClient: 1 })),
  )
  assert.ok(edges.growths().length <= 100_000)
  for (let run = 0; run < 1000; run++) edges.note(`run-${run}`, [])
  assert.ok(edges.runs().length <= 64 && edges.runs().includes('run-999'))
})

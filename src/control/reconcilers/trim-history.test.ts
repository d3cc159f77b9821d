import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Image } from '../../model/image.ts'
import type { ImageId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import { droppable } from './trim-history.ts'

const hour = 3_600_000
const now = Date.UTC(2026, 5, 1)

function imageAt(hoursAgo: number): Image {
  const lsn = BigInt(1_000_000 - hoursAgo) as Lsn
  return {
    id: `h${hoursAgo}` as ImageId,
    state: 'ready',
    template: undefined,
    pgMajor: 17,
    checkpointLsn: lsn,
    redoLsn: lsn,
    wholeLsn: lsn,
    tli: 1,
    wholeAt: new Date(now - hoursAgo * hour),
  }
}

const dropped = (hoursAgo: number[], windowHours: number): string[] =>
  droppable(hoursAgo.map(imageAt), new Date(now - windowHours * hour)).map(({ id }) => id)

test('what lies before the window goes, but for the last before it', () => {
  assert.deepEqual(dropped([50, 40, 30, 20, 10], 25), ['h50', 'h40'])
  assert.deepEqual(dropped([50], 25), [])
  assert.deepEqual(dropped([20, 10], 25), [])
  assert.deepEqual(dropped([50, 40], 0), ['h50'])
  assert.deepEqual(dropped([], 1), [])
})

test('of many in the window the newest stay, and of older ones some', () => {
  const everyHour = Array.from({ length: 24 }, (_, i) => 24 - i)
  const gone = dropped(everyHour, 48)
  assert.ok(!gone.includes('h24'), 'the oldest reaches furthest back')
  for (const hoursAgo of [8, 7, 6, 5, 4, 3, 2, 1]) assert.ok(!gone.includes(`h${hoursAgo}`))
  assert.deepEqual(
    everyHour.map((h) => `h${h}`).filter((id) => !gone.includes(id)),
    ['h24', 'h18', 'h12', 'h8', 'h7', 'h6', 'h5', 'h4', 'h3', 'h2', 'h1'],
  )
})

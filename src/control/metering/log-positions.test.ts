import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TimelineId } from '../../model/ids.ts'
import type { Lsn } from '../../model/lsn.ts'
import { LogPositions } from './log-positions.ts'

const id = 't' as TimelineId
const lsn = (value: number): Lsn => BigInt(value) as Lsn

/** A log whose end a test moves. */
function logAt(end: number | undefined) {
  const log = { end }
  const positions = new LogPositions(async (_id, from) => {
    if (log.end === undefined) return undefined
    return log.end > Number(from) ? lsn(log.end) : from
  })
  const written = async (): Promise<number | undefined> => (await positions.read(id))?.writtenBytes
  return { log, positions, written }
}

test('one that nothing is stored of begins where it was when its compute began to serve', async () => {
  const { log, positions, written } = logAt(1000)
  positions.begin(id)
  log.end = 1500
  assert.equal(await written(), undefined, 'not before it is known whether there is a reading')
  assert.deepEqual(await positions.learn(positions.unknown(), new Map()), [
    { timelineId: id, lsn: lsn(1000), writtenBytes: 0 },
  ])
  assert.equal(await written(), 500)
  assert.equal(await written(), undefined)
})

test('a stored reading is gone on from', async () => {
  const { positions, written } = logAt(1000)
  positions.begin(id)
  assert.deepEqual(await positions.learn([id], new Map([[id, lsn(400)]])), [])
  assert.equal(await written(), 600)
})

test('what is made of it before it is its tenant’s does not count', async () => {
  const { log, positions, written } = logAt(1000)
  positions.hold(id)
  positions.begin(id)
  assert.deepEqual(positions.unknown(), [])
  log.end = 9000
  assert.equal(await written(), undefined)
  assert.deepEqual(await positions.skip(id), { timelineId: id, lsn: lsn(9000), writtenBytes: 0 })
  log.end = 9010
  assert.equal(await written(), 10)
})

test('our own records are taken off, once', async () => {
  const { log, positions, written } = logAt(0)
  positions.begin(id)
  await positions.learn([id], new Map())
  positions.addOurs(id, 144n)
  log.end = 100
  assert.equal(await written(), 0)
  log.end = 300
  assert.equal(await written(), 156)
})

test('two who read at the same time count it once', async () => {
  const { log, positions, written } = logAt(0)
  positions.begin(id)
  await positions.learn([id], new Map())
  log.end = 70
  assert.deepEqual((await Promise.all([written(), written(), written()])).filter(Boolean), [70])
})

test('one that cannot be read yet is asked again', async () => {
  const { log, positions, written } = logAt(undefined)
  positions.begin(id)
  await positions.learn(positions.unknown(), new Map())
  assert.deepEqual(positions.unknown(), [id])
  log.end = 50
  await positions.learn(positions.unknown(), new Map())
  await positions.learn(positions.unknown(), new Map())
  log.end = 60
  assert.equal(await written(), 10)
})

test('it is forgotten when it sleeps and its reading is stored, unless it has been read since', async () => {
  const { log, positions } = logAt(0)
  positions.begin(id)
  await positions.learn([id], new Map())
  const idle = positions.idle(() => false)
  log.end = 5
  await positions.read(id)
  positions.forget(idle, () => false)
  assert.equal(positions.position(id), lsn(5))
  positions.forget(
    positions.idle(() => false),
    () => true,
  )
  assert.equal(positions.position(id), lsn(5))
  positions.forget(
    positions.idle(() => false),
    () => false,
  )
  assert.equal(positions.position(id), undefined)
})

test('nor while somebody is about to read it for the last time', async () => {
  const { log, positions, written } = logAt(0)
  positions.begin(id)
  const before = positions.idle(() => false)
  {
    using _kept = positions.keep(id)
    log.end = 5
    positions.forget(before, () => false)
    assert.deepEqual(
      positions.idle(() => false),
      new Map(),
    )
    await positions.learn(positions.unknown(), new Map())
    assert.equal(await written(), 5)
  }
  assert.equal(positions.idle(() => false).size, 1)
})

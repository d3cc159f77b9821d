import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { SqlPool, type Lease, type Poolable } from './sql-pool.ts'

class FakeConnection implements Poolable {
  isDead = false
  onDead: () => void = () => {}
  ended = 0
  destroyed = 0
  resets = 0
  reset = async (): Promise<void> => {
    this.resets++
  }
  end(): void {
    this.ended++
    this.isDead = true
  }
  destroy(): void {
    this.destroyed++
    this.isDead = true
  }
}

type Pool = SqlPool<FakeConnection>
const never = new AbortController().signal
const open = async (): Promise<FakeConnection> => new FakeConnection()

function lease(pool: Pool, name = 'a', mostTaken = 10, computeName = 'ep-a'): Promise<Lease<FakeConnection>> {
  return pool.lease({ computeName, name, mostTaken }, open, never)
}

test('a connection is cleaned and used again, by its own lane only', async () => {
  const pool: Pool = new SqlPool()
  const first = await lease(pool)
  assert.equal(first.reused, false)
  first.release()
  first.release()
  assert.equal(pool.idle, 1)
  const other = await lease(pool, 'b')
  assert.equal(other.reused, false)
  const again = await lease(pool)
  assert.equal(again.connection, first.connection)
  assert.deepEqual([again.reused, again.connection.resets, pool.idle], [true, 1, 0])
  again.discard()
  other.release()
  assert.equal(again.connection.destroyed, 1)
  await pool.close(0)
  assert.equal(other.connection.ended, 1)
})

test('one that could not be cleaned, or died, is not used again', async () => {
  const pool: Pool = new SqlPool()
  const first = await lease(pool)
  first.connection.reset = () => Promise.reject(new Error('lost'))
  first.release()
  const second = await lease(pool)
  assert.notEqual(second.connection, first.connection)
  assert.equal(first.connection.isDead, true)
  second.release()
  second.connection.isDead = true
  second.connection.onDead()
  assert.equal(pool.idle, 0)
  assert.equal((await lease(pool)).reused, false)
})

test('no more are at work than there is room for; the first to come is the first to go on', async () => {
  const pool: Pool = new SqlPool()
  const [one, two] = [await lease(pool, 'a', 2), await lease(pool, 'a', 2)]
  const order: string[] = []
  const inTurn = async (name: string): Promise<Lease<FakeConnection>> => {
    const got = await lease(pool, 'a', 2)
    order.push(name)
    return got
  }
  const third = inTurn('third')
  const fourth = inTurn('fourth')
  await delay(5)
  assert.deepEqual(order, [])
  two.release()
  one.discard()
  const last = inTurn('fifth')
  assert.equal((await third).connection, two.connection)
  assert.equal((await fourth).reused, false)
  assert.equal(pool.park('ep-a'), 2)
  ;(await third).release()
  await last
  assert.deepEqual(order, ['third', 'fourth', 'fifth'])
})

test('who waits may leave, and does not wait for ever', async () => {
  const pool: Pool = new SqlPool({ longestWaitMs: 20 })
  const one = await lease(pool, 'a', 1)
  await assert.rejects(lease(pool, 'a', 1), /query_wait_timeout/)
  const abort = new AbortController()
  const waiting = pool.lease({ computeName: 'ep-a', name: 'a', mostTaken: 1 }, open, abort.signal)
  abort.abort(new Error('gone'))
  await assert.rejects(waiting, /gone/)
  one.release()
  assert.equal((await lease(pool, 'a', 1)).reused, true)
})

test('an opening that fails leaves its place to the next', async () => {
  const pool: Pool = new SqlPool()
  const target = { computeName: 'ep-a', name: 'a', mostTaken: 1 }
  await assert.rejects(
    pool.lease(target, () => Promise.reject(new Error('refused')), never),
    /refused/,
  )
  assert.equal(pool.park('ep-a'), 0)
  await lease(pool, 'a', 1)
})

test('few are kept for one compute, the youngest, and none too long', async () => {
  const pool: Pool = new SqlPool({ mostIdlePerCompute: 2, longestSpareMs: 20, longestIdleMs: 150 })
  const leases = [await lease(pool, 'a'), await lease(pool, 'b'), await lease(pool, 'c')]
  for (const one of leases) one.release()
  assert.equal(pool.idle, 3)
  await delay(70)
  assert.deepEqual(
    leases.map(({ connection }) => connection.ended),
    [1, 0, 0],
  )
  await delay(200)
  assert.equal(pool.idle, 0)
})

test('there is a bound to all that are idle', async () => {
  const pool: Pool = new SqlPool({ mostIdle: 1 })
  const leases = [await lease(pool, 'a'), await lease(pool, 'a', 10, 'ep-b')]
  for (const one of leases) one.release()
  assert.deepEqual([pool.idle, leases.map(({ connection }) => connection.ended)], [1, [0, 1]])
})

test('what was open when an endpoint changed serves no further request', async () => {
  const pool: Pool = new SqlPool()
  const [idle, taken] = [await lease(pool), await lease(pool)]
  idle.release()
  pool.forget((name) => name === 'ep-a')
  assert.equal(idle.connection.ended, 1)
  taken.release()
  assert.equal(taken.connection.ended, 1)
  const next = await lease(pool)
  assert.equal(next.reused, false)
  next.release()
  assert.equal(pool.idle, 1)
})

test('closing waits for those at work', async () => {
  const pool: Pool = new SqlPool()
  const one = await lease(pool)
  let closed = false
  const closing = pool.close(10_000).then(() => (closed = true))
  await delay(5)
  assert.equal(closed, false)
  one.release()
  await closing
  assert.equal(one.connection.ended, 1)
  await assert.rejects(lease(pool), /stopping/)
})

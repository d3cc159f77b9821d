import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import type { Pace } from '../model/rate-limit.ts'
import type { Lease, LeaseAsk } from '../store/rate-limits.ts'
import { LeasedBudgets } from './leased-budgets.ts'

/** The rows, with a clock that is moved by hand. */
class Rows {
  readonly rows = new Map<string, { level: number; at: number }>()
  statements = 0
  isAway = false

  lease = async (asks: readonly LeaseAsk[]): Promise<Map<string, Lease>> => {
    this.statements++
    if (this.isAway) throw new Error('away')
    return new Map(asks.map((ask) => [ask.name, this.#leaseOne(ask)]))
  }

  #leaseOne({ name, capacity, perSecond, owed, wanted }: LeaseAsk): Lease {
    const row = this.rows.get(name) ?? { level: capacity, at: now }
    const filled = Math.min(capacity, row.level + ((now - row.at) / 1000) * perSecond - Math.min(owed, 0))
    const level = filled - Math.max(owed, 0)
    const granted = Math.max(0, Math.min(wanted, Math.floor(level)))
    this.rows.set(name, { level: level - granted, at: now })
    return { granted, level: level - granted }
  }
}

let now = 0
beforeEach(() => {
  now = 100_000
  mock.method(performance, 'now', () => now)
})

const route: Pace = { count: 40, seconds: 1 }
const account: Pace = { count: 700, seconds: 60 }

async function admitted(budgets: LeasedBudgets, count: number, pace = route): Promise<number> {
  const waits = await Promise.all(Array.from({ length: count }, () => budgets.take('a', pace)))
  return waits.filter((wait) => wait === 0).length
}

test('as many as the bucket holds get through at once, then as many as it gets back', async () => {
  const budgets = new LeasedBudgets(new Rows().lease)
  assert.equal(await admitted(budgets, 100), 40)
  now += 500
  assert.equal(await admitted(budgets, 100), 20)
  now += 60_000
  assert.equal(await admitted(budgets, 100), 40)
})

test('the first after a pause does not wait for the rows, and is counted all the same', async () => {
  const rows = new Rows()
  const { promise: never } = Promise.withResolvers<never>()
  const silent = new LeasedBudgets(() => never)
  assert.equal(await silent.take('a', route), 0)
  const budgets = new LeasedBudgets(rows.lease)
  let through = 0
  for (let i = 0; i < 100; i++) through += (await budgets.take('a', route)) === 0 ? 1 : 0
  assert.equal(through, 40)
})

test('one process spends many requests on one statement', async () => {
  const rows = new Rows()
  const budgets = new LeasedBudgets(rows.lease)
  assert.equal(await admitted(budgets, 700, account), 700)
  assert.ok(rows.statements <= 4, String(rows.statements))
})

test('requests that are refused cost no statement while the bucket is known to be empty', async () => {
  const rows = new Rows()
  const budgets = new LeasedBudgets(rows.lease)
  await admitted(budgets, 100)
  const before = rows.statements
  assert.equal(await admitted(budgets, 1000), 0)
  assert.equal(rows.statements, before)
  assert.ok(budgets.blockedFor('a') > 0)
})

test('several processes together get no more than one would', async () => {
  const rows = new Rows()
  const processes = [1, 2, 3].map(() => new LeasedBudgets(rows.lease))
  let through = 0
  const seconds = 20
  for (let tick = 0; tick < seconds * 20; tick++) {
    for (const each of processes) through += await admitted(each, 5)
    now += 50
  }
  const allowed = 40 + seconds * 40
  assert.ok(through <= allowed, `${through} of ${allowed}`)
  assert.ok(through >= allowed * 0.9, `${through} of ${allowed}`)
})

test('a process that holds a lease and is quiet leaves the others their share', async () => {
  const rows = new Rows()
  const [quiet, busy] = [new LeasedBudgets(rows.lease), new LeasedBudgets(rows.lease)]
  await quiet.take('a', account)
  assert.ok((await admitted(busy, 700, account)) >= 600)
})

test('what was leased and not used goes back, and never on top of a full bucket', async () => {
  const rows = new Rows()
  const [one, other] = [new LeasedBudgets(rows.lease), new LeasedBudgets(rows.lease)]
  const level = (): number => rows.rows.get('a')?.level ?? 0
  for (const each of [one, other]) await each.take('a', account)
  now += 2_500
  await one.take('a', account)
  await new Promise(setImmediate)
  // All but two leases and the three that were used.
  assert.ok(Math.abs(level() - (700 - 2 * 87)) <= 3, String(level()))
  now += 600_000
  const through = (await admitted(one, 700, account)) + (await admitted(other, 700, account))
  assert.ok(through <= 702, String(through))
})

test('a request that another bucket refused is not counted', async () => {
  const budgets = new LeasedBudgets(new Rows().lease)
  assert.equal(await admitted(budgets, 40), 40)
  budgets.giveBack('a')
  assert.equal(await budgets.take('a', route), 0)
})

test('while the rows are away, a process goes on at the full pace by itself', async () => {
  const rows = new Rows()
  rows.isAway = true
  const budgets = new LeasedBudgets(rows.lease)
  let through = 0
  for (let tick = 0; tick < 200; tick++) {
    through += await admitted(budgets, 10)
    now += 50
  }
  assert.ok(through >= 300, String(through))
  assert.ok(through <= 440 + 40, String(through))
})

test('a limit that was changed holds at once', async () => {
  const rows = new Rows()
  const budgets = new LeasedBudgets(rows.lease)
  assert.equal(await admitted(budgets, 100), 40)
  rows.rows.clear()
  budgets.forget('a')
  assert.equal(await admitted(budgets, 300, { count: 200, seconds: 1 }), 200)
})

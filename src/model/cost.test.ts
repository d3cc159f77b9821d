import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { drawDown, noQuantities, organizationCost, projectCost, spendingMark, type Quantities } from './cost.ts'
import { amountText, parseAmount } from './money.ts'
import { defaultPrices, meters, parsePrices, pricesOf, type Meter } from './prices.ts'

const prices = defaultPrices.usual
const hourMs = 3_600_000n

const amountOf = (meter: Meter, quantity: bigint): string => {
  const line = projectCost({ ...noQuantities, [meter]: quantity }, 0n, prices).lines.find(
    (each) => each.meter === meter,
  )
  return amountText(line?.amount ?? -1n)
}

test('usage costs what it costs at Neon', () => {
  // 500,000 CU-seconds; 2.5 × 10^12 byte-hours; 2 GB for a month of 31 days; 72 hours of a branch too many.
  assert.equal(amountOf('compute', 500_000n * 1000n * 1000n), '30.83333333')
  assert.equal(amountOf('root_storage', 2_500_000_000_000n * hourMs), '1.17607527')
  assert.equal(amountOf('child_storage', 2_000_000_000n * 744n * hourMs), '0.70')
  assert.equal(amountOf('history', 2_000_000_000n * 744n * hourMs), '0.40')
  assert.equal(amountOf('snapshots', 2_000_000_000n * 744n * hourMs), '0.18')
  assert.equal(amountOf('extra_branches', 72n * hourMs), '0.14516129')
})

test('transfer costs nothing up to what the organization has included, and each project has its share of the rest', () => {
  const gb = 1_000_000_000n
  const [small, large] = [30n * gb, 90n * gb].map((transfer) => ({ ...noQuantities, transfer }))
  assert.ok(small && large)
  assert.equal(organizationCost([large], prices).total, 0n)
  const both = organizationCost([small, large], prices)
  assert.equal(amountText(both.total), '2.00')
  assert.equal(amountText(projectCost(small, 120n * gb, prices).total), '0.50')
  assert.equal(amountText(projectCost(large, 120n * gb, prices).total), '1.50')
})

const quantities: fc.Arbitrary<Quantities> = fc.record(
  Object.fromEntries(meters.map((meter) => [meter, fc.bigInt({ min: 0n, max: 10n ** 18n })])) as Record<
    Meter,
    fc.Arbitrary<bigint>
  >,
)

test('what projects cost adds up to what their organization does', () => {
  fc.assert(
    fc.property(fc.array(quantities, { maxLength: 20 }), (projects) => {
      const transfer = projects.reduce((sum, each) => sum + each.transfer, 0n)
      const whole = organizationCost(projects, prices).total
      const parts = projects.reduce((sum, each) => sum + projectCost(each, transfer, prices).total, 0n)
      assert.ok(whole >= parts && whole - parts <= BigInt(projects.length), `${whole} ${parts}`)
    }),
  )
})

test('credits go first, and never further than they reach', () => {
  assert.deepEqual(drawDown(100n, 30n), { used: 30n, remaining: 0n, due: 70n })
  assert.deepEqual(drawDown(30n, 100n), { used: 30n, remaining: 70n, due: 0n })
  assert.deepEqual(drawDown(30n, 0n), { used: 0n, remaining: 0n, due: 30n })
  assert.deepEqual(drawDown(30n, -5n), { used: 0n, remaining: -5n, due: 30n })
})

test('a limit speaks at 80 and at 100 percent', () => {
  assert.deepEqual(
    [0n, 79n, 80n, 99n, 100n, 500n].map((due) => spendingMark(due, 100n)),
    [undefined, undefined, 80, 80, 100, 100],
  )
})

test('a price file changes what it names, for all or for a plan', () => {
  const table = parsePrices({
    currency: 'EUR',
    compute_cu_hour: 0.1,
    plans: { free_v3: { compute_cu_hour: '0', transfer_included_gb: 5, branches_included: 10 } },
  })
  assert.equal(table.currency, 'EUR')
  assert.equal(pricesOf(table, 'scale_v3').perUnit.compute, parseAmount('0.1'))
  assert.equal(pricesOf(table, 'scale_v3').perUnit.history, parseAmount('0.2'))
  const free = pricesOf(table, 'free_v3')
  assert.equal(free.perUnit.compute, 0n)
  assert.equal(free.perUnit.history, parseAmount('0.2'))
  assert.equal(free.transferIncluded, 5_000_000_000n)
  assert.equal(free.branchesIncluded, 10)
})

test('a price file that cannot be used says where', () => {
  for (const [value, message] of [
    [[], /the file/],
    ['x', /the file/],
    [{ compute: 1 }, /compute cannot be used: write one of compute_cu_hour/],
    [{ compute_cu_hour: -1 }, /compute_cu_hour/],
    [{ compute_cu_hour: 'much' }, /compute_cu_hour/],
    [{ branches_included: 1.5 }, /branches_included/],
    [{ currency: '$' }, /currency/],
    [{ plans: [] }, /plans/],
    [{ plans: { free_v3: { transfer_gb: null } } }, /plans\.free_v3\.transfer_gb/],
  ] as const)
    assert.throws(() => parsePrices(value), { code: 'config_invalid', message })
})

// What usage costs. Pure, and exact: quantities and prices are whole numbers, and each amount is rounded once.
//
// A project's amounts add up to its organization's, except for transfer: what is included there is the organization's, so each project
// has its share of what the organization pays, rounded down.

import { dividedRounded } from './money.ts'
import { meters, units, type Meter, type Prices } from './prices.ts'

/** In the units that are measured, see `units`. `extra_branches`: those beyond what is included only. */
export type Quantities = Readonly<Record<Meter, bigint>>

export const noQuantities: Quantities = {
  compute: 0n,
  root_storage: 0n,
  child_storage: 0n,
  history: 0n,
  snapshots: 0n,
  transfer: 0n,
  extra_branches: 0n,
}

export type CostLine = {
  meter: Meter
  quantity: bigint
  /** Of the quantity, what costs nothing. */
  included: bigint
  /** For one unit. */
  price: bigint
  amount: bigint
}

export type Cost = { lines: CostLine[]; total: bigint }

const amountFor = (meter: Meter, quantity: bigint, prices: Prices): bigint =>
  dividedRounded(quantity * prices.perUnit[meter], units[meter].size)

const totalOf = (lines: CostLine[]): Cost => ({ lines, total: lines.reduce((sum, { amount }) => sum + amount, 0n) })

/** `transferOfAll`: of the organization's projects together, in the same period. */
export function projectCost(quantities: Quantities, transferOfAll: bigint, prices: Prices): Cost {
  return totalOf(
    meters.map((meter) => {
      const quantity = quantities[meter]
      const line = { meter, quantity, included: 0n, price: prices.perUnit[meter] }
      if (meter !== 'transfer') return { ...line, amount: amountFor(meter, quantity, prices) }
      if (transferOfAll === 0n) return { ...line, amount: 0n }
      const { included, amount } = transferLine(transferOfAll, prices)
      return {
        ...line,
        included: (included * quantity) / transferOfAll,
        amount: (amount * quantity) / transferOfAll,
      }
    }),
  )
}

/** Of all its projects. */
export function organizationCost(projects: Iterable<Quantities>, prices: Prices): Cost {
  const quantities: Record<Meter, bigint> = { ...noQuantities }
  const amounts: Record<Meter, bigint> = { ...noQuantities }
  for (const project of projects) {
    for (const meter of meters) {
      quantities[meter] += project[meter]
      amounts[meter] += amountFor(meter, project[meter], prices)
    }
  }
  return totalOf(
    meters.map((meter) =>
      meter === 'transfer'
        ? transferLine(quantities.transfer, prices)
        : { meter, quantity: quantities[meter], included: 0n, price: prices.perUnit[meter], amount: amounts[meter] },
    ),
  )
}

function transferLine(quantity: bigint, prices: Prices): CostLine {
  const included = quantity < prices.transferIncluded ? quantity : prices.transferIncluded
  const amount = amountFor('transfer', quantity - included, prices)
  return { meter: 'transfer', quantity, included, price: prices.perUnit.transfer, amount }
}

/** How far credits go: nothing is paid before they are used up. */
export function drawDown(total: bigint, credits: bigint): { used: bigint; remaining: bigint; due: bigint } {
  const available = credits > 0n ? credits : 0n
  const used = total < available ? total : available
  return { used, remaining: credits - used, due: total - used }
}

/** What a spending limit has to say: the highest mark that is reached. */
export function spendingMark(due: bigint, limit: bigint): 80 | 100 | undefined {
  if (due >= limit) return 100
  return due * 100n >= limit * 80n ? 80 : undefined
}

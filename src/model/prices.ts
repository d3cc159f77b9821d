// What usage costs: the table of prices, and how it is written. Units are those of Neon's bills: a GB has 10^9 bytes, a month 744 hours
// however many days it has.

import { AppError } from './errors.ts'
import { parseAmount } from './money.ts'

export const meters = [
  'compute',
  'root_storage',
  'child_storage',
  'history',
  'snapshots',
  'transfer',
  'extra_branches',
] as const

export type Meter = (typeof meters)[number]

const monthMs = 744n * 3_600_000n
const gb = 1_000_000_000n

/** `size`: how many of what is measured one priced unit has. Compute is measured in thousandths of a CU × ms, levels in bytes × ms. */
export const units: Readonly<Record<Meter, { name: string; size: bigint; price: string }>> = {
  compute: { name: 'CU-hour', size: 3_600_000n * 1000n, price: 'compute_cu_hour' },
  root_storage: { name: 'GB-month', size: gb * monthMs, price: 'root_storage_gb_month' },
  child_storage: { name: 'GB-month', size: gb * monthMs, price: 'child_storage_gb_month' },
  history: { name: 'GB-month', size: gb * monthMs, price: 'history_gb_month' },
  snapshots: { name: 'GB-month', size: gb * monthMs, price: 'snapshots_gb_month' },
  transfer: { name: 'GB', size: gb, price: 'transfer_gb' },
  extra_branches: { name: 'branch-month', size: monthMs, price: 'extra_branch_month' },
}

/** Of one plan. */
export type Prices = {
  /** For one unit of each, in hundred-millionths of the currency. */
  perUnit: Readonly<Record<Meter, bigint>>
  /** Bytes that an organization may send in a period before they cost anything. */
  transferIncluded: bigint
  /** Branches that each project may have at a time before they cost anything. */
  branchesIncluded: number
}

export type PriceTable = {
  /** Of three letters. */
  currency: string
  usual: Prices
  /** Plans that have other prices. */
  plans: ReadonlyMap<string, Prices>
}

export const pricesOf = (table: PriceTable, plan: string): Prices => table.plans.get(plan) ?? table.usual

/** Neon's for its Scale and agent plans, in US dollars. */
const neonPrices = {
  compute_cu_hour: '0.222',
  root_storage_gb_month: '0.35',
  child_storage_gb_month: '0.35',
  history_gb_month: '0.20',
  snapshots_gb_month: '0.09',
  transfer_gb: '0.10',
  transfer_included_gb: 100,
  extra_branch_month: '1.50',
  branches_included: 25,
}

/**
 * The content of a price file: `currency`, prices by their names (decimal numbers, or texts of them), and `plans` with those that are
 * different for a plan. What is left out costs what it costs at Neon. Throws `config_invalid` that names the entry.
 */
export function parsePrices(value: unknown): PriceTable {
  const { currency = 'USD', plans = {}, ...rest } = asObject(value, 'the file')
  if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency))
    throw invalid('currency', 'write three capital letters such as USD')
  const usual = parsePlan({ ...neonPrices, ...rest }, '')
  const others = Object.entries(asObject(plans, 'plans')).map(([plan, own]): [string, Prices] => [
    plan,
    parsePlan({ ...neonPrices, ...rest, ...asObject(own, `plans.${plan}`) }, `plans.${plan}.`),
  ])
  return { currency, usual, plans: new Map(others) }
}

export const defaultPrices: PriceTable = parsePrices({})

function parsePlan(given: Readonly<Record<string, unknown>>, path: string): Prices {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(neonPrices, name))
      throw invalid(`${path}${name}`, `write one of ${Object.keys(neonPrices).join(', ')}`)
  }
  const price = (name: string): bigint => {
    const amount = parseAmount(String(given[name]))
    if (amount === undefined || amount < 0n) {
      throw invalid(`${path}${name}`, 'write a number such as 0.35, not below zero and with at most eight decimals')
    }
    return amount
  }
  const { branches_included: branches } = given
  if (typeof branches !== 'number' || !Number.isSafeInteger(branches) || branches < 0)
    throw invalid(`${path}branches_included`, 'write a whole number')
  return {
    perUnit: Object.fromEntries(meters.map((meter) => [meter, price(units[meter].price)])) as Record<Meter, bigint>,
    // Eight decimals of a GB are tens of bytes.
    transferIncluded: price('transfer_included_gb') * 10n,
    branchesIncluded: branches,
  }
}

function asObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw invalid(name, 'it has to be an object')
}

const invalid = (name: string, wanted: string): AppError =>
  new AppError('config_invalid', `PGROVE_PRICES: ${name} cannot be used: ${wanted}`)

// The operator's own prices, read once at the start.

import { readFile } from 'node:fs/promises'
import { AppError } from '../model/errors.ts'
import { defaultPrices, parsePrices, type PriceTable } from '../model/prices.ts'

/** Throws `config_invalid`. */
export async function readPrices(file: string | undefined): Promise<PriceTable> {
  if (file === undefined) return defaultPrices
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    throw new AppError('config_invalid', `PGROVE_PRICES: ${file} cannot be read as JSON`, { cause })
  }
  return parsePrices(value)
}

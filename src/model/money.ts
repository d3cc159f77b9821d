// Amounts and prices, exactly: whole numbers of a hundred-millionth of the currency. No amount is ever a floating-point number.

const decimals = 8
const one = 10n ** BigInt(decimals)

/** `12.5` → 1250000000n. Undefined for what is no decimal number, or has more than eight decimals or twelve digits before them. */
export function parseAmount(text: string): bigint | undefined {
  const [, sign, whole = '', fraction = ''] = /^(-?)(\d{1,12})(?:\.(\d{1,8}))?$/.exec(text) ?? []
  if (sign === undefined) return undefined
  const amount = BigInt(whole) * one + BigInt(fraction.padEnd(decimals, '0'))
  return sign === '-' ? -amount : amount
}

/** With at least two decimals, and no more than it has. */
export function amountText(amount: bigint): string {
  const size = amount < 0n ? -amount : amount
  const fraction = String(size % one)
    .padStart(decimals, '0')
    .replace(/0{1,6}$/, '')
  return `${amount < 0n ? '-' : ''}${size / one}.${fraction}`
}

export const fromCents = (cents: number): bigint => (BigInt(cents) * one) / 100n

/** To the nearest whole number, halves up; neither is below zero. */
export function dividedRounded(dividend: bigint, divisor: bigint): bigint {
  return (2n * dividend + divisor) / (2n * divisor)
}

// A position in the write-ahead log: 64 bits, printed as two hexadecimal halves (`0/16B3748`).

declare const brand: unique symbol
export type Lsn = bigint & { readonly [brand]: 'lsn' }

const pattern = /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i

/** Undefined where the text is not an LSN. */
export function parseLsn(text: string): Lsn | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn
}

export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`
}

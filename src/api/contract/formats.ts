// Formats of the contract's schemas that JSON Schema does not have, or does not have strictly enough.

const timestampPattern =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:[Zz]|[+-](?:0\d|1[0-5]):[0-5]\d)$/

/**
 * RFC 3339 with a zone, and a moment that exists: `Date` would make 3 March of 31 February, and Postgres would refuse it.
 * Leap seconds are not moments to either of the two, and Postgres knows no zone 16 hours away.
 */
export function isTimestamp(text: string): boolean {
  const match = timestampPattern.exec(text)
  if (!match || Number.isNaN(Date.parse(text))) return false
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  return year > 0 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
}

/** int64 beyond 2^53 cannot be told apart in JSON numbers: refused rather than rounded. */
export const numberFormats: Readonly<Record<string, (value: number) => boolean>> = {
  int: Number.isSafeInteger,
  int32: (value) => Number.isInteger(value) && Math.abs(value) <= 2 ** 31 - 1,
  int64: Number.isSafeInteger,
  uint64: (value) => Number.isSafeInteger(value) && value >= 0,
  float: Number.isFinite,
  double: Number.isFinite,
}

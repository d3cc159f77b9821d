// Moments as the API writes them: RFC 3339, UTC, `Z`.

/** Resources: whole seconds. */
export function seconds(moment: Date): string {
  return moment.toISOString().replace(/\.\d{3}Z$/, 'Z')
}

export function secondsIfSet(moment: Date | undefined): string | undefined {
  return moment && seconds(moment)
}

/** Operations: milliseconds, since their order is what clients read from them. */
export function milliseconds(moment: Date): string {
  return moment.toISOString()
}

/** Go's zero time, which Neon sends where a moment is not known. */
export const zeroTime = '0001-01-01T00:00:00Z'

/** The calendar month in UTC: consumption is counted by it. */
export function billingPeriod(now: Date): { start: string; end: string } {
  const month = (offset: number): string =>
    seconds(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset, 1)))
  return { start: month(0), end: month(1) }
}

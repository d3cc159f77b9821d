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

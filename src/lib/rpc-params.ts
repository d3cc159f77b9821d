// Shapes that calls of our own processes have in common. What comes in from a process that strangers talk to is looked at before it goes
// any further.

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const endpointPattern = /^[a-z0-9-]{1,63}$/
const longestDatabaseBytes = 63

export const isUuid = (value: unknown): value is string => typeof value === 'string' && uuidPattern.test(value)

export const isEndpointId = (value: unknown): value is string =>
  typeof value === 'string' && endpointPattern.test(value)

/** Postgres stores no NUL. */
export const isText = (value: unknown, mostBytes: number): value is string =>
  typeof value === 'string' && value !== '' && !value.includes('\0') && Buffer.byteLength(value) <= mostBytes

export const isDatabaseName = (value: unknown): value is string => isText(value, longestDatabaseBytes)

export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

import { AppError } from '../model/errors.ts'

const mostPairs = 50
const longest = 1024

/** At most 50 pairs of strings. Throws `bad_request`. */
export function assertMetadata(value: Record<string, unknown> | undefined): Record<string, string> {
  const pairs = Object.entries(value ?? {})
  if (pairs.length > mostPairs) {
    throw new AppError('bad_request', `metadata may have ${mostPairs} pairs at most, and has ${pairs.length}`)
  }
  const checked: [string, string][] = pairs.map(([key, text]) => {
    if (typeof text !== 'string') throw new AppError('bad_request', `metadata ${JSON.stringify(key)} must be a string`)
    if (key.length > longest || text.length > longest) {
      throw new AppError('bad_request', `metadata keys and values may have ${longest} characters at most`)
    }
    return [key, text]
  })
  return Object.fromEntries(checked)
}

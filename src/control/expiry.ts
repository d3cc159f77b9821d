import { AppError } from '../model/errors.ts'
import { parseMicros } from './points.ts'

/** When something is to be deleted by itself. `withinSeconds`: no later than that from now. Throws `bad_request`. */
export function parseExpiry(text: string, withinSeconds?: number): Date {
  const micros = parseMicros(text)
  if (micros === undefined) {
    throw new AppError(
      'bad_request',
      `expires_at ${JSON.stringify(text)} is no timestamp with a time zone; one looks like 2026-01-31T12:30:00Z`,
    )
  }
  const at = new Date(Number(micros / 1_000_000n) * 1000)
  if (at.getTime() <= Date.now()) throw new AppError('bad_request', `expires_at ${text} is not in the future`)
  if (withinSeconds !== undefined && at.getTime() > Date.now() + withinSeconds * 1000) {
    throw new AppError('bad_request', `expires_at ${text} is more than ${withinSeconds / 86_400} days away`)
  }
  return at
}

// `Idempotency-Key`: a POST that is sent twice with one key is done once, and answered twice with the same words. Neon lacks it.
//
// Only successes are kept: after a refusal or a failure nothing was done, and the same key may try again. Answers hold
// secrets (the passwords and keys that were just made); who stores them encrypts them.

import { createHash } from 'node:crypto'
import type { Control } from '../control/control.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Caller } from '../model/caller.ts'

/** An answer as it goes over the wire; an empty body is that of a 204. */
export type WireAnswer = { status: number; body: string }

export type Claim = { control: Control; caller: Caller; key: string; fingerprint: string; log: Logger }

const keyPattern = /^[\x21-\x7e]{1,255}$/

/** Undefined where the request has none. */
export function parseIdempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined
  if (typeof header === 'string' && keyPattern.test(header)) return header
  throw new AppError('bad_request', 'invalid request: Idempotency-Key must be one to 255 visible ASCII characters')
}

/** Two requests are the same if they would do the same. */
export function fingerprintOf(method: string, url: string, body: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify([method, url, body ?? null]))
    .digest('hex')
}

export async function answerOnce(
  claim: Claim,
  answer: () => Promise<WireAnswer>,
): Promise<WireAnswer & { replayed: boolean }> {
  const { control, caller, key, fingerprint, log } = claim
  const begun = await control.idempotency.begin(caller, key, fingerprint)
  switch (begun.kind) {
    case 'replay':
      return { ...begun.answer, replayed: true }
    case 'busy':
      throw new AppError('locked', 'a request with this Idempotency-Key is still being answered')
    case 'new':
      break
  }
  // The outcome stands whether or not the key can be settled now, so a failure here must not take its place.
  const finish = async (outcome: WireAnswer | undefined): Promise<void> => {
    try {
      await control.idempotency.finish(caller, key, outcome)
    } catch (error) {
      log.warn({ error: errorChain(error) }, 'idempotency key could not be settled')
    }
  }
  let outcome: WireAnswer
  try {
    outcome = await answer()
  } catch (error) {
    await finish(undefined)
    throw error
  }
  await finish(outcome)
  return { ...outcome, replayed: false }
}

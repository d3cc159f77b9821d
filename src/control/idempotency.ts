// First answers of requests that carried an Idempotency-Key. They may show a password, so they are kept sealed.

import { subjectOf, type Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'
import { claimIdempotencyKey, freeIdempotencyKey, storeAnswer } from '../store/idempotency-keys.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'

const longestKey = 255

export function idempotencyControl(control: ControlContext): Control['idempotency'] {
  /** The place that an answer is sealed to; a user's goes by his bare id. */
  const place = (caller: Caller, key: string): string =>
    `answer:${caller.kind === 'user' ? caller.userId : subjectOf(caller)}:${key}`
  return {
    async begin(caller, key, fingerprint) {
      if (key.length > longestKey)
        throw new AppError('bad_request', `Idempotency-Key must not be longer than ${longestKey} characters`)
      const known = await claimIdempotencyKey(control.store, {
        subject: subjectOf(caller),
        key,
        fingerprint,
        process: control.processId,
      })
      if (!known) return { kind: 'new' }
      if (known.fingerprint !== fingerprint) {
        throw new AppError('unprocessable', 'this Idempotency-Key was used for another request; use a new key')
      }
      if (known.status !== undefined && known.body !== undefined) {
        const body = control.cipher.open(Buffer.from(known.body, 'base64'), place(caller, key))
        return { kind: 'replay', answer: { status: known.status, body } }
      }
      if (known.process === control.processId) return { kind: 'busy' }
      throw new AppError(
        'already_exists',
        'the first request with this Idempotency-Key was interrupted by a restart and may have had its effect; look for the resource, then use a new key',
      )
    },
    async finish(caller, key, answer) {
      if (!answer) return await freeIdempotencyKey(control.store, subjectOf(caller), key)
      const sealed = control.cipher.seal(answer.body, place(caller, key)).toString('base64')
      await storeAnswer(control.store, subjectOf(caller), key, { status: answer.status, body: sealed })
    },
  }
}

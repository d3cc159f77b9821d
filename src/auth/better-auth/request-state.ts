// What one request leaves for those that come later in it. The library swallows errors here and there (a session that cannot be read is
// no session to it, and whoever asked would be signed out): whoever throws one of ours says so here as well.

import { AsyncLocalStorage } from 'node:async_hooks'
import { isAppError, type AppError } from '../../model/errors.ts'
import type { WebhookOrigin } from '../webhooks.ts'

export type RequestState = {
  readonly origin: WebhookOrigin
  /** The first of them; it is the answer, whatever was made of it. */
  failure: AppError | undefined
  /** What else was thrown at the database: for the log, where the answer turns out to be a 500. */
  defect: unknown
  /** Hashed before a connection was taken for the transaction that stores it. */
  prepared: { password: string; hash: string } | undefined
  /** Somebody's password was hashed, or what stands for nobody's. */
  hasHashed: boolean
  /** The address of who is asked for his password once more: he is signed in, and nothing that he sends names him. */
  confirms: string | undefined
  /** SHA-256 of what this browser will show again when it comes back: see `session-verifier.ts`. */
  challenge: string | undefined
  /** A session was handed over to this browser. */
  isHandedOver: boolean
  hasNewUser: boolean
}

const states = new AsyncLocalStorage<RequestState>()

export function currentState(): RequestState | undefined {
  return states.getStore()
}

export async function withState<T>(origin: WebhookOrigin, work: (state: RequestState) => Promise<T>): Promise<T> {
  const state: RequestState = {
    origin,
    failure: undefined,
    defect: undefined,
    prepared: undefined,
    hasHashed: false,
    confirms: undefined,
    challenge: undefined,
    isHandedOver: false,
    hasNewUser: false,
  }
  return await states.run(state, () => work(state))
}

export async function noting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const state = states.getStore()
    if (state && isAppError(error)) state.failure ??= error
    else if (state) state.defect ??= error
    throw error
  }
}

/** Goes on when the answer is given, and nothing of the answer hangs on it. */
export function apart(work: () => Promise<void>, failed: (error: unknown) => void): void {
  const state = states.getStore()
  const done = state ? states.run({ ...state }, work) : work()
  done.catch(failed)
}

// Tells the webhooks of integrations what has happened, from the rows. At least once: what was taken up and not marked as taken, because we
// died or the receiver did not answer, is sent again with the same id.

import { failpoint } from '../../lib/failpoint.ts'
import { errorChain } from '../../model/errors.ts'
import {
  deleteAuthEvent,
  deleteOldAuthEvents,
  recordAuthEventFailed,
  takeDueAuthEvents,
  type StoredAuthEvent,
} from '../../store/auth/events.ts'
import { listSigningKeys } from '../../store/auth/signing-keys.ts'
import { findAuthTarget } from '../../store/auth/targets.ts'
import { isTold } from '../auth/events.ts'
import { openSigningKey } from '../auth/secrets.ts'
import { callWebhook, isPassing, isTaken, type WebhookTarget } from '../auth/webhook-signature.ts'
import type { ControlContext } from '../context.ts'

/** Longer than the tries of one event can take. */
const leaseSeconds = 60
const atOnce = 16
/** A receiver that took that long to fail keeps its place from others: what else it is owed waits as well, up to so long. */
const slowMs = 2_000
const longestPauseOfOthersSeconds = 60
const firstPauseSeconds = 30
const longestPauseSeconds = 3600
const givenUpAfterSeconds = 24 * 3600

/** Each round is a few tries. */
const pauseSeconds = (attempts: number): number =>
  Math.min(longestPauseSeconds, firstPauseSeconds * 2 ** Math.min(Math.floor(Math.max(0, attempts - 1) / 3), 20))

export class AuthEventDeliveries {
  readonly #control: ControlContext
  /** By integration. */
  readonly #under = new Map<string, Promise<void>>()
  #closed = false

  constructor(control: ControlContext) {
    this.#control = control
  }

  /** Takes up what is due and returns; each integration goes on by itself from there. */
  async deliver(): Promise<{ taken: number }> {
    const free = atOnce - this.#under.size
    if (free <= 0 || this.#closed) return { taken: 0 }
    const due = await takeDueAuthEvents(this.#control.store, {
      limit: free,
      leaseSeconds,
      but: [...this.#under.keys()],
    })
    for (const event of due) this.#begin(event)
    return { taken: due.length }
  }

  /** Attempts that are under way end first: a receiver would get what it has taken once more otherwise. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#under.values())
  }

  #begin(first: StoredAuthEvent): void {
    const { integrationId } = first
    const work = this.#allOf(first)
      .catch((error: unknown) =>
        this.#control.logger.warn(
          { integration: integrationId, cause: errorChain(error) },
          'what became of an event could not be recorded',
        ),
      )
      .finally(() => this.#under.delete(integrationId))
    this.#under.set(integrationId, work)
  }

  async #allOf(first: StoredAuthEvent): Promise<void> {
    const { store } = this.#control
    for (let next: StoredAuthEvent | undefined = first; next && !this.#closed;) {
      if (!(await this.#attempt(next))) return
      ;[next] = await takeDueAuthEvents(store, { limit: 1, leaseSeconds, of: first.integrationId })
    }
  }

  /** False where the integration should let others have its place. */
  async #attempt(event: StoredAuthEvent): Promise<boolean> {
    const { store, logger } = this.#control
    const { id, integrationId, type, body, occurredAt, attempts } = event
    const target = await this.#targetOf(event)
    if (!target) {
      await deleteAuthEvent(store, event)
      return true
    }
    const startedAt = performance.now()
    const { answer, tries, error } = await callWebhook(
      target,
      { id, type, body, at: occurredAt.getTime() },
      { triesBefore: attempts },
    )
    await failpoint('auth-event.sent')
    if (answer && isTaken(answer)) {
      await deleteAuthEvent(store, event)
      return true
    }
    logger.info({ integration: integrationId, event: id, type, error }, 'a webhook of sign-in did not take an event')
    if (answer && !isPassing(answer.status)) {
      await deleteAuthEvent(store, event)
      return true
    }
    const made = attempts + tries
    const retryAfterSeconds = pauseSeconds(made)
    const isSlow = performance.now() - startedAt > slowMs
    await recordAuthEventFailed(store, event, {
      attempts: made,
      retryAfterSeconds,
      othersAfterSeconds: isSlow ? Math.min(retryAfterSeconds, longestPauseOfOthersSeconds) : 0,
    })
    return false
  }

  /** Undefined where nobody is to be told any more. */
  async #targetOf({ integrationId, type }: StoredAuthEvent): Promise<WebhookTarget | undefined> {
    const { store, cipher } = this.#control
    const found = await findAuthTarget(store, { kind: 'project', id: integrationId })
    const [key] = found ? await listSigningKeys(store, integrationId) : []
    if (!found || !key || !isTold(found.integration, type)) return undefined
    const { url = '', privateAllowed, timeoutSeconds } = found.integration.settings.webhooks
    return {
      url,
      privateAllowed,
      timeoutSeconds,
      context: { endpointId: found.endpointId, projectName: found.projectName },
      key: { kid: key.kid, privateJwk: openSigningKey(cipher, key) },
    }
  }
}

export async function forgetOldAuthEvents({ store, logger }: ControlContext): Promise<void> {
  const dropped = await deleteOldAuthEvents(store, givenUpAfterSeconds)
  if (dropped > 0) logger.warn({ dropped }, 'events of sign-in were given up that no webhook took')
}

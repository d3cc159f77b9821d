// Sends events to the webhooks of their organizations, from the rows. At least once: what was taken up and not marked as taken, because we
// died or the receiver did not answer, is sent again with the same id.
//
// Several control planes may do so on one database. Nothing else waits for it.

import { failpoint } from '../../lib/failpoint.ts'
import { errorChain, isAppError } from '../../model/errors.ts'
import { longestDeliverySeconds, retryAfterSeconds } from '../../model/webhook.ts'
import {
  dropDeliveries,
  recordDelivered,
  recordFailed,
  takeDueDeliveries,
  type Delivery,
} from '../../store/webhooks.ts'
import type { ControlContext } from '../context.ts'
import { requestOutbound } from '../outbound-urls.ts'
import { eventBody } from '../event-body.ts'
import { signatureHeaders } from '../webhooks.ts'

const timeoutMs = 10_000
/** Longer than an attempt can take. */
const leaseSeconds = 60
const mostBytes = 16 * 1024
const atOnce = 16
/** A receiver that took that long to fail keeps its place from others: what else it is owed waits as well, up to so long. */
const slowMs = 2_000
const longestPauseSeconds = 60
const mostOfOne = 1_000
const longestError = 200

export class WebhookDeliveries {
  readonly #control: ControlContext
  /** By organization: one attempt at a time. */
  readonly #under = new Map<string, Promise<void>>()
  #closed = false

  constructor(control: ControlContext) {
    this.#control = control
  }

  /** Takes up what is due and returns; each organization goes on by itself from there. */
  async deliver(): Promise<{ taken: number }> {
    const free = atOnce - this.#under.size
    if (free <= 0 || this.#closed) return { taken: 0 }
    const due = await takeDueDeliveries(this.#control.store, {
      limit: free,
      leaseSeconds,
      but: [...this.#under.keys()],
    })
    for (const delivery of due) this.#begin(delivery)
    return { taken: due.length }
  }

  /** Attempts that are under way end first: a receiver would get what it has taken once more otherwise. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#under.values())
  }

  #begin(first: Delivery): void {
    const { orgId } = first.webhook
    const work = this.#allOf(first)
      .catch((error: unknown) =>
        this.#control.logger.warn(
          { organization: orgId, cause: errorChain(error) },
          'a delivery could not be recorded',
        ),
      )
      .finally(() => this.#under.delete(orgId))
    this.#under.set(orgId, work)
  }

  /** What one organization is owed, one after the other, oldest first. */
  async #allOf(first: Delivery): Promise<void> {
    for (let next: Delivery | undefined = first; next && !this.#closed;) {
      await this.#attempt(next)
      ;[next] = await takeDueDeliveries(this.#control.store, { limit: 1, leaseSeconds, of: first.webhook.orgId })
    }
  }

  async #attempt(delivery: Delivery): Promise<void> {
    const { store, logger } = this.#control
    const startedAt = performance.now()
    const error = await this.#send(delivery)
    await failpoint('webhook.sent')
    if (error === undefined) return await recordDelivered(store, delivery)
    const { id, attempts, webhook } = delivery
    logger.info({ organization: webhook.orgId, delivery: id, attempts, error }, 'a webhook did not take an event')
    const pause = retryAfterSeconds(attempts)
    const isSlow = performance.now() - startedAt > slowMs
    const othersAfterSeconds = isSlow ? Math.min(pause, longestPauseSeconds) : 0
    await recordFailed(store, delivery, { error, retryAfterSeconds: pause, othersAfterSeconds })
  }

  /** Undefined: taken. What a receiver said is nobody's business but its own; its status is enough. */
  async #send({ id, webhook, event }: Delivery): Promise<string | undefined> {
    const body = JSON.stringify(eventBody(event))
    const timestamp = Math.floor(Date.now() / 1000)
    try {
      const { status } = await requestOutbound(webhook.url, {
        privateAllowed: webhook.privateAllowed,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...signatureHeaders(this.#control.cipher, webhook, { id, timestamp, body }),
        },
        body,
        timeoutMs,
        mostBytes,
      })
      return status >= 200 && status < 300 ? undefined : `answered with status ${status}`
    } catch (error) {
      return (isAppError(error) ? error.message : 'could not be sent').slice(0, longestError)
    }
  }
}

/** What nobody takes must not grow without bound. */
export async function dropOldDeliveries({ store, logger }: ControlContext): Promise<void> {
  const dropped = await dropDeliveries(store, { olderThanSeconds: longestDeliverySeconds, mostOfOne })
  if (dropped > 0) logger.warn({ dropped }, 'events were given up that no webhook took')
}

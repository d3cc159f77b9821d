// Sends the mails of integrations, from the rows. At least once: what was taken up and not marked as taken, because we died or the server
// did not say so, is sent again with the same id.
//
// One at a time of each integration, and so many of those with servers of their own, whatever the operator's server does: one that hangs
// holds up nobody but those who named it.

import { failpoint } from '../../lib/failpoint.ts'
import { errorChain } from '../../model/errors.ts'
import {
  deleteOverMails,
  keepQueuedMail,
  recordMailFailed,
  recordMailOver,
  takeDueMails,
  type DueMail,
} from '../../store/auth/mails.ts'
import { mailServerOf, mostKept, openMail } from '../auth/mails.ts'
import { openEmailServer } from '../auth/secrets.ts'
import { MailFailure, sendMail } from '../auth/smtp-servers.ts'
import type { ControlContext } from '../context.ts'

const timeoutMs = 45_000
/** While we end. */
const graceMs = 3_000
/** Longer than an attempt can take. */
const leaseSeconds = 120
const atOnce = { shared: 8, own: 16 }
const givenUpAfterMs = 24 * 3_600_000
const firstPauseSeconds = 5
const longestPauseSeconds = 3600
/** A server that took that long to fail keeps its place from others: what else it is to send waits as well, up to so long. */
const slowMs = 5_000
const longestPauseOfOthersSeconds = 60
/** What is over is counted for an hour (`auth/mails.ts`). */
const overForSeconds = 2 * 3600

/** Doubled from try to try. */
export const pauseSeconds = (attempts: number): number =>
  Math.min(longestPauseSeconds, firstPauseSeconds * 2 ** Math.min(Math.max(attempts, 1) - 1, 20))

export class MailDeliveries {
  readonly #control: ControlContext
  /** By integration. */
  readonly #under = { shared: new Map<string, Promise<void>>(), own: new Map<string, Promise<void>>() }
  readonly #over = new AbortController()
  #closed = false

  constructor(control: ControlContext) {
    this.#control = control
  }

  /** Takes up what is due and returns; each integration goes on by itself from there. */
  async deliver(): Promise<{ taken: number }> {
    let taken = 0
    for (const lane of ['shared', 'own'] as const) {
      const under = this.#under[lane]
      const free = atOnce[lane] - under.size
      if (free <= 0 || this.#closed) continue
      const isShared = lane === 'shared'
      const due = await takeDueMails(this.#control.store, {
        isShared,
        limit: free,
        leaseSeconds,
        but: [...under.keys()],
      })
      for (const mail of due) this.#begin(lane, mail)
      taken += due.length
    }
    return { taken }
  }

  /** Attempts that are under way end first, or soon: a recipient would get what he has once more otherwise. */
  async close(): Promise<void> {
    this.#closed = true
    setTimeout(() => this.#over.abort(), graceMs).unref()
    await Promise.all([...this.#under.shared.values(), ...this.#under.own.values()])
  }

  #begin(lane: 'shared' | 'own', first: DueMail): void {
    const { integrationId } = first
    const under = this.#under[lane]
    const work = this.#allOf(lane, first)
      .catch((error: unknown) =>
        this.#control.logger.warn(
          { integration: integrationId, cause: errorChain(error) },
          'what became of a mail could not be recorded',
        ),
      )
      .finally(() => under.delete(integrationId))
    under.set(integrationId, work)
  }

  async #allOf(lane: 'shared' | 'own', first: DueMail): Promise<void> {
    const isShared = lane === 'shared'
    for (let next: DueMail | undefined = first; next && !this.#closed;) {
      const isGoingOn = await this.#attempt(next)
      if (!isGoingOn) return
      ;[next] = await takeDueMails(this.#control.store, { isShared, limit: 1, leaseSeconds, of: first.integrationId })
    }
  }

  /** False where the integration should let others have its place. */
  async #attempt(mail: DueMail): Promise<boolean> {
    const { store, cipher, logger } = this.#control
    const { id, integrationId, attempts } = mail
    const server = mailServerOf(this.#control, mail, openEmailServer(cipher, integrationId, mail.emailServer))
    if (!server) {
      await keepQueuedMail(store, mail, mostKept)
      return true
    }
    const startedAt = performance.now()
    try {
      await sendMail(server, { id, ...openMail(this.#control, mail) }, { timeoutMs, signal: this.#over.signal })
    } catch (error) {
      const reason = error instanceof MailFailure ? error.message : 'the mail could not be sent'
      const isOver = error instanceof MailFailure && error.isFinal
      const isOld = Date.now() - mail.createdAt.getTime() > givenUpAfterMs
      logger.info({ integration: integrationId, mail: id, attempts, error: reason }, 'a mail could not be sent')
      if (isOver || isOld) {
        await recordMailOver(store, id, reason)
        return true
      }
      const isSlow = performance.now() - startedAt > slowMs
      const retryAfterSeconds = pauseSeconds(attempts)
      await recordMailFailed(store, mail, {
        error: reason,
        retryAfterSeconds,
        othersAfterSeconds: isSlow ? Math.min(retryAfterSeconds, longestPauseOfOthersSeconds) : 0,
      })
      return false
    }
    await failpoint('mail.sent')
    await recordMailOver(store, id, undefined)
    return true
  }
}

export async function forgetOverMails({ store }: ControlContext): Promise<void> {
  await deleteOverMails(store, overForSeconds)
}

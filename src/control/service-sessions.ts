// One connection of the service role a compute, kept for a moment after it was used: many who connect at once are one login of ours.
//
// It is nobody's activity (`compute/activity.ts` leaves out the service role), and it never starts a compute or waits for one. It ends
// with its compute; whoever stops one closes it before.

import type pg from 'pg'
import type { TimelineId } from '../model/ids.ts'
import { within } from '../lib/within.ts'
import { AppError } from '../model/errors.ts'

const keptMs = 5_000

type Session = { client: Promise<pg.Client>; timer: NodeJS.Timeout }

export class ServiceSessions {
  readonly #connect: (timelineId: TimelineId) => Promise<pg.Client>
  readonly #open = new Map<TimelineId, Session>()

  constructor(connect: (timelineId: TimelineId) => Promise<pg.Client>) {
    this.#connect = connect
  }

  /** `name`: of a statement that is planned once a connection. Throws after the time; then the connection is not used again. */
  async query<R extends pg.QueryResultRow>(
    timelineId: TimelineId,
    statement: { name: string; text: string; values: unknown[] },
    timeoutMs: number,
  ): Promise<R[]> {
    const session = this.#session(timelineId)
    session.timer.refresh()
    try {
      const rows = session.client.then(async (client) => (await client.query<R>(statement)).rows)
      return await within(
        rows,
        timeoutMs,
        () => new AppError('unavailable', `postgres did not answer within ${timeoutMs} ms`),
      )
    } catch (error) {
      this.#drop(timelineId, session)
      throw error
    }
  }

  close(timelineId: TimelineId): void {
    const session = this.#open.get(timelineId)
    if (session) this.#drop(timelineId, session)
  }

  closeAll(): void {
    for (const timelineId of this.#open.keys()) this.close(timelineId)
  }

  #session(timelineId: TimelineId): Session {
    const known = this.#open.get(timelineId)
    if (known) return known
    const client = Promise.resolve().then(() => this.#connect(timelineId))
    const session: Session = {
      client,
      timer: setTimeout(() => this.#drop(timelineId, session), keptMs).unref(),
    }
    this.#open.set(timelineId, session)
    client.then(
      (opened) => opened.once('end', () => this.#drop(timelineId, session)),
      () => this.#drop(timelineId, session),
    )
    return session
  }

  #drop(timelineId: TimelineId, session: Session): void {
    clearTimeout(session.timer)
    if (this.#open.get(timelineId) === session) this.#open.delete(timelineId)
    session.client.then(
      (client) => client.end().catch(() => {}),
      () => {},
    )
  }
}

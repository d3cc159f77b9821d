// What a request leaves on its connection is not seen by the next one: settings, a role, temporary tables, open cursors, channels that are
// listened to, values of sequences, advisory locks, statements that SQL has prepared. Functions may leave all of that, whoever calls them; the end
// of a transaction takes back only what was said to be local.
//
// Statements that we have prepared stay. One that SQL has prepared may bear a name of ours, which any function can look up; it would be executed
// in the place of ours, with the next caller's claims: such a connection is closed.

import type { DataApiConnection } from '../connections.ts'
import type { ActionPlan } from '../plan/plan.ts'

/** None of these asks a table or looks a name up, so that they cost next to nothing. Who logged in comes first: the others are done as that. */
const forget = [
  'SET SESSION AUTHORIZATION DEFAULT',
  'RESET ROLE',
  'RESET ALL',
  'CLOSE ALL',
  'UNLISTEN *',
  'DISCARD TEMP',
  'DISCARD SEQUENCES',
].join('; ')

/** $1: the name of one that we prepared. Where it is gone the others are as well. */
const lookForMore = `
  SELECT pg_catalog.pg_advisory_unlock_all(),
         pg_catalog.count(*) FILTER (WHERE p.from_sql) = 0 AND ($1::text IS NULL OR pg_catalog.count(*) FILTER (WHERE p.name = $1) = 1)
    FROM pg_catalog.pg_prepared_statement() AS p`

/** `invalid_sql_statement_name`, `duplicate_prepared_statement`: what is prepared there is not what was prepared by us. */
const strangeStatements = new Set<unknown>(['26000', '42P05'])

/** A connection while a request has it. */
export class Session {
  readonly #connection: DataApiConnection
  readonly #plan: ActionPlan
  readonly #prepared: string | undefined
  #isForgotten: Promise<boolean> | undefined
  #isSound = true

  /** `prepared`: the name of a statement that the request has prepared before any code of others runs. */
  constructor(connection: DataApiConnection, plan: ActionPlan, prepared: string | undefined) {
    this.#connection = connection
    this.#plan = plan
    this.#prepared = prepared
  }

  /** The end of the transaction has been sent. */
  ended(): void {
    this.#isForgotten ??= this.#forget()
  }

  /** What has not ended ends here. */
  failed(error: unknown): void {
    if (strangeStatements.has((error as { code?: unknown }).code)) this.#isSound = false
    if (this.#isForgotten) return
    const rolledBack = this.#connection.query({ text: 'ROLLBACK' })
    const forgotten = this.#forget()
    this.#isForgotten = rolledBack.then(
      () => forgotten,
      () => false,
    )
  }

  /** The answer does not wait for it; whoever gets the connection next does. */
  release(): void {
    this.ended()
    void this.#isForgotten?.then((isForgotten) => this.#connection.release(isForgotten && this.#isSound))
  }

  /** Never rejects. What takes a query to find out is asked after calls and writes alone: the others run little that is not ours. */
  async #forget(): Promise<boolean> {
    const sent = [this.#connection.query({ text: forget })]
    if (this.#plan.kind !== 'read') {
      const name = this.#prepared === undefined ? undefined : 'pgrove_session'
      sent.push(this.#connection.query({ text: lookForMore, values: [this.#prepared ?? null], name }))
    }
    const [forgotten, found] = await Promise.allSettled(sent)
    if (forgotten?.status !== 'fulfilled') return false
    return found === undefined || (found.status === 'fulfilled' && found.value.rows[0]?.[1] === 't')
  }
}

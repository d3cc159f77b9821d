// Hears of changes on a connection of its own. While that is away, everything may have changed.

import pg from 'pg'
import type { Logger } from '../../lib/logger.ts'
import { errorChain } from '../../model/errors.ts'

export type Change = 'schema' | 'config' | 'all'

const listenAgainMs = 1_000
/** Several that come one behind the other are one. */
const settleMs = 100

export class Listener {
  readonly #connection: pg.ClientConfig
  readonly #channel: string
  readonly #changed: (what: Change) => void
  readonly #logger: Logger
  #client: pg.Client | undefined
  #isClosed = false
  #isAway = false
  #pending: Change | undefined

  constructor(connection: pg.ClientConfig, channel: string, changed: (what: Change) => void, logger: Logger) {
    this.#connection = connection
    this.#channel = channel
    this.#changed = changed
    this.#logger = logger
    void this.#listen()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#client?.end().catch(() => {})
  }

  async #listen(): Promise<void> {
    if (this.#isClosed) return
    const client = new pg.Client(this.#connection)
    this.#client = client
    client.on('error', () => {})
    client.on('notification', ({ payload }) => this.#note(toChange(payload)))
    client.once('end', () => {
      this.#note('schema')
      if (!this.#isClosed) setTimeout(() => void this.#listen(), listenAgainMs)
    })
    try {
      await client.connect()
      await client.query(`LISTEN ${pg.escapeIdentifier(this.#channel)}`)
      this.#isAway = false
      this.#note('all')
    } catch (error) {
      // Once for each time that it goes away.
      if (!this.#isAway) this.#logger.warn({ cause: errorChain(error) }, 'changes of the schema are not heard of')
      this.#isAway = true
      await client.end().catch(() => {})
    }
  }

  #note(change: Change | undefined): void {
    if (change === undefined) return
    if (this.#pending === undefined) setTimeout(() => this.#tell(), settleMs).unref()
    this.#pending = this.#pending === undefined || this.#pending === change ? change : 'all'
  }

  #tell(): void {
    const change = this.#pending
    this.#pending = undefined
    if (change !== undefined && !this.#isClosed) this.#changed(change)
  }
}

function toChange(payload: string | undefined): Change | undefined {
  switch (payload) {
    case undefined:
    case '':
      return 'all'
    case 'reload schema':
      return 'schema'
    case 'reload config':
      return 'config'
    default:
      return undefined
  }
}

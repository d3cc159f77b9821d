// Connections to any Postgres, by `pg`, as a pool. Statements of a request are sent one behind the other without waiting.

import type { Writable } from 'node:stream'
import pg from 'pg'
import type { ConnectionSource, DataApiConnection, QueryResult } from './connections.ts'
import { DataApiError } from './errors.ts'

export type PgConnectionsOptions = {
  connection: pg.ClientConfig
  /** `db-pool` */
  most: number
  /** `db-pool-acquisition-timeout`, in milliseconds. */
  longestWaitMs: number
  /** `db-pool-max-idletime`, `db-pool-max-lifetime`. Undefined: 10 seconds; as long as it likes. */
  idleSeconds?: number
  lifetimeSeconds?: number
}

const nothing: QueryResult = { rows: [], fields: [] }

/** Statements that a connection keeps prepared; one that has them all is closed, and another begins anew. */
const mostPrepared = 200

const asText = {
  getTypeParser:
    () =>
    (value: string): string =>
      value,
}

export class PgConnections implements ConnectionSource {
  readonly #pool: pg.Pool
  readonly #longestWaitMs: number
  #timeouts = 0

  constructor({ connection, most, longestWaitMs, idleSeconds = 10, lifetimeSeconds = 0 }: PgConnectionsOptions) {
    this.#longestWaitMs = longestWaitMs
    this.#pool = new pg.Pool({
      ...connection,
      max: most,
      pipeline: true,
      connectionTimeoutMillis: longestWaitMs,
      idleTimeoutMillis: idleSeconds * 1000,
      maxLifetimeSeconds: lifetimeSeconds,
      allowExitOnIdle: true,
    })
    this.#pool.on('error', () => {})
    // One that breaks while it is used is told to whoever waits for its answers.
    this.#pool.on('connect', (client) => client.on('error', () => {}))
  }

  async connect(): Promise<DataApiConnection> {
    let client: pg.PoolClient
    try {
      client = await this.#pool.connect()
    } catch (cause) {
      if (!isTimeout(cause))
        throw new DataApiError({ code: 'PGRST000', message: 'Database client error. Retrying the connection.', cause })
      this.#timeouts++
      throw new DataApiError({
        code: 'PGRST003',
        message: 'Timed out acquiring connection from connection pool.',
        details: `waited ${this.#longestWaitMs} ms`,
        cause,
      })
    }
    return new PooledConnection(client)
  }

  /** `timeouts`: of requests that got none, since the start. */
  get counts(): { open: number; idle: number; waiting: number; timeouts: number } {
    const { totalCount: open, idleCount: idle, waitingCount: waiting } = this.#pool
    return { open, idle, waiting, timeouts: this.#timeouts }
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }
}

const isTimeout = (error: unknown): boolean =>
  error instanceof Error && /timeout/i.test(error.message) && !('code' in error)

const preparedOn = new WeakMap<pg.PoolClient, Set<string>>()

class PooledConnection implements DataApiConnection {
  readonly #client: pg.PoolClient
  readonly #prepared: Set<string>
  #isReleased = false

  constructor(client: pg.PoolClient) {
    this.#client = client
    this.#prepared = preparedOn.get(client) ?? new Set()
    preparedOn.set(client, this.#prepared)
  }

  async query({ text, values, name }: Parameters<DataApiConnection['query']>[0]): Promise<QueryResult> {
    const isPrepared = name !== undefined && (this.#prepared.has(name) || this.#prepared.size < mostPrepared)
    const query: pg.QueryArrayConfig = { text, rowMode: 'array', types: asText }
    if (values) query.values = [...values]
    if (isPrepared) query.name = name
    const answered: unknown = await this.#client.query(query)
    if (isPrepared) this.#prepared.add(name)
    // Of several statements in one there are several results, which nobody asks for.
    return Array.isArray(answered) ? nothing : (answered as QueryResult)
  }

  together<T>(send: () => T): T {
    // `pg` shows it in none of its types.
    const { stream } = (this.#client as unknown as { connection: { stream: Writable } }).connection
    stream.cork()
    try {
      return send()
    } finally {
      stream.uncork()
    }
  }

  release(isSound: boolean): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#client.release(!isSound || this.#prepared.size >= mostPrepared)
  }
}

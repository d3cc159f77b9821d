// Connections to the database behind one Data API. It belongs to a tenant, sleeps when nobody is at it, and may be gone or hang.
//
// What is known of where its compute answers comes from a wake. When control says that it may have changed, the next request asks again, and
// goes on with the connections that there are where the same process still answers. One connection listens for changes of the schema as
// long as the compute is awake: what is told meanwhile is heard, and a compute that starts is looked at anew.

import pg from 'pg'
import { BoundedSocket, tooMuch } from '../../lib/bounded-socket.ts'
import type { Logger } from '../../lib/logger.ts'
import { Permits } from '../../lib/permits.ts'
import { errorChain, isAppError, type AppError } from '../../model/errors.ts'
import { dataApiRoles } from '../../model/data-api.ts'
import type { WokenDatabase } from '../../model/woken-database.ts'
import type { ConnectionSource, DataApiConnection, QueryResult } from '../connections.ts'
import { DataApiError } from '../errors.ts'
import { PgConnections } from '../pg-connections.ts'
import { isPostgresError } from '../response/postgres-errors.ts'
import type { DataApiControlPlane } from './control-plane.ts'
import { tooLongAnswer } from './limits.ts'

/** In the socket's name only. */
const socketPort = 5432
const mostConnections = 10
/** They are at work for a few milliseconds each; whoever comes later than these would wait for nothing. */
const mostWaiting = 200
/** While a compute is woken, all wait for it. */
const longestWaitMs = 30_000
const connectTimeoutMs = 10_000
const mostTries = 4
const retryPauseMs = 50
/** PostgREST's, which apps tell after they have changed their schema. */
const channel = 'pgrst'

export type TenantConnectionsOptions = {
  dataApiId: string
  role: string
  database: string
  controlPlane: Pick<DataApiControlPlane, 'wake'>
  /** The schema may be another one than it was. */
  schemaChanged: () => void
  logger: Logger
}

type Place = { woken: WokenDatabase; pool: PgConnections; listener: pg.Client }

export class TenantConnections implements ConnectionSource {
  readonly #options: TenantConnectionsOptions
  readonly #permits = new Permits(mostConnections, mostWaiting)
  #place: Place | undefined
  #finding: Promise<Place> | undefined
  /** Whether control has said nothing against it since the last wake. */
  #isCurrent = false
  #isClosed = false

  constructor(options: TenantConnectionsOptions) {
    this.#options = options
  }

  async connect(): Promise<DataApiConnection> {
    const permit = await this.#permits.acquire(longestWaitMs, () => tooMany)
    try {
      return new Connection(await this.#connect(), permit)
    } catch (error) {
      permit()
      throw this.#translated(error)
    }
  }

  /** The compute is awake and what is known of it is true, as far as control has said. Throws as `connect` does. */
  async ready(): Promise<void> {
    try {
      await this.#findPlace()
    } catch (error) {
      throw this.#translated(error)
    }
  }

  /** The next request asks where the compute answers. */
  forgetAddress(): void {
    this.#isCurrent = false
  }

  /** Returns when statements under way have ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    const finding = this.#finding
    await finding?.catch(() => {})
    const place = this.#place
    this.#place = undefined
    if (place) await end(place)
  }

  async #connect(): Promise<DataApiConnection> {
    for (let tries = 1; ; tries++) {
      const place = await this.#findPlace()
      try {
        return await place.pool.connect()
      } catch (error) {
        // Nobody answers there, or not any more: another wake finds out.
        this.#drop(place)
        if (tries === mostTries) throw error
        this.#logLost(error)
        await new Promise((resolve) => setTimeout(resolve, retryPauseMs * (tries - 1)))
      }
    }
  }

  async #findPlace(): Promise<Place> {
    if (this.#place && this.#isCurrent) return this.#place
    this.#finding ??= this.#find().finally(() => {
      this.#finding = undefined
    })
    return await this.#finding
  }

  async #find(): Promise<Place> {
    // Said while we ask, it may be about what we are told.
    this.#isCurrent = true
    const woken = await this.#options.controlPlane.wake(this.#options.dataApiId)
    const known = this.#place
    if (known && known.woken.generation === woken.generation && known.woken.password === woken.password) return known
    if (known) this.#drop(known)
    const place = await this.#open(woken)
    if (this.#isClosed) void end(place)
    this.#place = place
    return place
  }

  async #open(woken: WokenDatabase): Promise<Place> {
    const { schemaChanged } = this.#options
    const connection = this.#connectionTo(woken)
    const listener = new pg.Client(connection)
    listener.on('error', (error) => this.#logLost(error))
    await listener.connect()
    try {
      const { rows } = await listener.query<{ name: string; value: string }>(settingsQuery, [
        dataApiRoles.authenticator,
      ])
      await listener.query(`LISTEN ${channel}`)
      const options = [connection.options, ...rows.map(({ name, value }) => setting(name, value))].join(' ')
      const pool = new PgConnections({
        connection: { ...connection, options },
        most: mostConnections,
        longestWaitMs: connectTimeoutMs,
      })
      const place = { woken, pool, listener }
      listener.on('notification', () => schemaChanged())
      // Whatever is told from now on, nobody hears.
      listener.once('end', () => this.#drop(place))
      schemaChanged()
      return place
    } catch (error) {
      await listener.end().catch(() => {})
      throw error
    }
  }

  #connectionTo({ socketDir, password }: WokenDatabase): pg.ClientConfig & { options: string } {
    const { role, database } = this.#options
    return {
      host: socketDir,
      port: socketPort,
      user: role,
      password,
      database,
      stream: () => new BoundedSocket(),
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: answerTimeoutMs,
      application_name: 'pgrove data-api',
      options: sessionSettings.map(([name, value]) => setting(name, value)).join(' '),
    }
  }

  #drop(place: Place): void {
    if (this.#place === place) this.#place = undefined
    void end(place)
  }

  #translated(error: unknown): unknown {
    const { dataApiId, logger } = this.#options
    logger.info({ dataApi: dataApiId, cause: errorChain(error) }, 'database unavailable')
    if (isAppError(error)) return fromAppError(error)
    if (error instanceof DataApiError) return error
    return new DataApiError({
      code: 'PGRST000',
      message: 'Database connection error. Retrying the connection.',
      details:
        'the database lets the Data API in no more, or does not answer; PATCH the Data API to have it set up again',
      headers: retryLater,
      cause: error,
    })
  }

  /** A compute that went to sleep takes its connections along. */
  #logLost(error: unknown): void {
    const { dataApiId, logger } = this.#options
    logger.debug({ dataApi: dataApiId, cause: errorChain(error) }, 'connection lost')
  }
}

async function end({ pool, listener }: Place): Promise<void> {
  listener.removeAllListeners('end')
  await Promise.allSettled([listener.end(), pool.close()])
}

/** One of the pool's with one of the permits, until it is released. */
class Connection implements DataApiConnection {
  readonly #connection: DataApiConnection
  readonly #permit: () => void
  #isLost = false

  constructor(connection: DataApiConnection, permit: () => void) {
    this.#connection = connection
    this.#permit = permit
  }

  async query(statement: Parameters<DataApiConnection['query']>[0]): Promise<QueryResult> {
    try {
      return await this.#connection.query(statement)
    } catch (error) {
      if (isPostgresError(error)) throw error
      this.#isLost = true
      throw lost(error)
    }
  }

  together<T>(send: () => T): T {
    return this.#connection.together(send)
  }

  release(isSound: boolean): void {
    this.#connection.release(isSound && !this.#isLost)
    this.#permit()
  }
}

const retryLater = [['Retry-After', '1']] as const

const tooMany = new DataApiError({
  code: 'PGRST003',
  message: 'Timed out acquiring connection from connection pool.',
  details: 'too many requests at once for this database',
  headers: retryLater,
})

function lost(error: unknown): DataApiError {
  if ((error as { code?: unknown }).code === tooMuch)
    return new DataApiError({ code: 'PGRSTX00', status: 413, message: tooLongAnswer, cause: error })
  return new DataApiError({
    code: 'PGRST001',
    message: 'Database client error. Retrying the connection.',
    details: 'the database went away; what became of the request is not known',
    headers: retryLater,
    cause: error,
  })
}

function fromAppError(error: AppError): DataApiError {
  const isOurs = !error.isCallersFault && error.code === 'internal'
  return new DataApiError({
    code: 'PGRST000',
    message: isOurs ? 'Database connection error. Retrying the connection.' : error.message,
    headers: [['Retry-After', String(Math.ceil(error.retryAfterSeconds ?? 1))]],
    cause: error,
  })
}

/** What a tenant may have set for his database is overruled where requests would not work with it. */
const sessionSettings: readonly (readonly [string, string])[] = [
  ['role', 'none'],
  ['local_preload_libraries', ''],
  ['default_transaction_deferrable', 'off'],
  ['idle_session_timeout', '0'],
  ['exit_on_error', 'off'],
  ['standard_conforming_strings', 'on'],
  ['client_min_messages', 'warning'],
  ['statement_timeout', '60s'],
  ['idle_in_transaction_session_timeout', '30s'],
]
/** Of a Postgres that does not even keep its own time; a tenant may have allowed his requests more than we do. */
const answerTimeoutMs = 300_000

/** Those of the role that PostgREST would come in as: they are what a tenant gives all requests. Of this database before those of all. */
const settingsQuery = `
  SELECT DISTINCT ON (1) split_part(s, '=', 1) AS name, substr(s, strpos(s, '=') + 1) AS value
    FROM pg_catalog.pg_db_role_setting d
    JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) d.setrole, pg_catalog.unnest(d.setconfig) s
   WHERE r.rolname OPERATOR(pg_catalog.=) $1
     AND d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))
     AND s !~ '^(pgrst\\.|role=|session_authorization=|search_path=|local_preload_libraries=|client_encoding=)'
   ORDER BY 1, d.setdatabase DESC`

/** As a part of `options`: blanks and backslashes are escaped. */
const setting = (name: string, value: string): string => `-c ${name}=${value.replaceAll(/[\\\s]/g, '\\$&')}`

// The database behind one integration. It belongs to a tenant, sleeps when nobody else is at it, and may be gone, hang or answer anything.
//
// What is known of where its compute answers comes from a wake, and holds until a connection fails or control says that it changed. A
// statement is sent again only where it is certain that the first one did nothing: no connection could be had, or Postgres itself said
// that it took the session away (57P01), which is never said of anything that was committed.

import pg from 'pg'
import { authSessionSettings } from '../model/auth.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { WokenDatabase } from '../model/woken-database.ts'
import type { Logger } from '../lib/logger.ts'
import { Permits } from '../lib/permits.ts'
import { BoundedSocket, tooMuch } from '../lib/bounded-socket.ts'
import type { AuthControlPlane } from './control-plane.ts'
import type { AuthDatabase, DatabaseClient, Queries } from './database.ts'

/** In the socket's name only. */
const socketPort = 5432
const mostConnections = 4
/** They are at work for a few milliseconds each; whoever comes later than these would wait for nothing. */
const mostWaiting = 100
/** While a compute is woken, all wait for it. */
const longestWaitMs = 30_000
const connectTimeoutMs = 10_000
const idleTimeoutMs = 1_000
const statementTimeoutMs = 15_000
const lockTimeoutMs = 5_000
/** Of a Postgres that does not even keep its own time. */
const answerTimeoutMs = 20_000
const mostTries = 4
const retryPauseMs = 50

export type TenantDatabaseOptions = {
  integrationId: string
  role: string
  database: string
  controlPlane: Pick<AuthControlPlane, 'wake'>
  logger: Logger
}

type Place = WokenDatabase & { pool: pg.Pool }

export class TenantDatabase implements AuthDatabase {
  readonly #options: TenantDatabaseOptions
  readonly #ending = new Set<Promise<void>>()
  readonly #permits = new Permits(mostConnections, mostWaiting)
  #place: Promise<Place> | undefined

  readonly pool: AuthDatabase['pool'] = {
    connect: async () => {
      const reconnect = async (lost: Connection): Promise<Connection> => {
        this.#forget(lost.place)
        return await this.#connect()
      }
      return new KyselyClient(await this.#connect(), { reconnect, translate: (error) => this.#translated(error) })
    },
    // Whoever builds on it does not end what others use too.
    end: async () => {},
  }

  constructor(options: TenantDatabaseOptions) {
    this.#options = options
  }

  async query<R extends pg.QueryResultRow = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<R[]> {
    return await this.#withRetries(
      async (client) => (await client.query<R>(text, [...values])).rows,
      () => isRead(text),
    )
  }

  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    let commits = false
    return await this.#withRetries(
      async (client) => {
        commits = false
        await client.query('begin')
        try {
          const result = await work({
            query: async <R extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []) =>
              (await client.query<R>(text, [...values])).rows,
          })
          commits = true
          await client.query('commit')
          return result
        } catch (error) {
          // One that cannot even be taken back is not used again.
          if (!client.isLost) await client.query('rollback').catch(() => client.lose())
          throw error
        }
      },
      () => !commits,
    )
  }

  /** Where the compute answers is no longer known; statements under way go on. */
  forgetAddress(): void {
    const place = this.#place
    this.#place = undefined
    place?.then(
      ({ pool }) => this.#end(pool),
      () => {},
    )
  }

  /** Returns when statements under way have ended. */
  async close(): Promise<void> {
    const place = this.#place
    this.forgetAddress()
    await place?.catch(() => {})
    await Promise.all(this.#ending)
  }

  /** `isHarmless`: whether the work may be repeated though it is not known what became of it. */
  async #withRetries<T>(work: (client: Connection) => Promise<T>, isHarmless: () => boolean): Promise<T> {
    for (let tries = 1; ; tries++) {
      const client = await this.#connect()
      let failure: unknown
      try {
        return await work(client)
      } catch (error) {
        failure = error
      } finally {
        client.release()
      }
      const repeats = didNothing(failure) || (isBroken(failure) && isHarmless())
      if (tries === mostTries || !repeats) throw this.#translated(failure)
      this.#forget(client.place)
    }
  }

  async #connect(): Promise<Connection> {
    const permit = await this.#permits.acquire(longestWaitMs, busy)
    try {
      return await this.#connectPool(permit)
    } catch (error) {
      permit()
      throw this.#translated(error)
    }
  }

  /** Through a wake where no address is known, and again where nobody answers there. */
  async #connectPool(permit: () => void): Promise<Connection> {
    for (let tries = 1; ;) {
      const place = this.#findPlace()
      const { pool } = await place
      // Forgotten meanwhile, and the pool with it.
      if (this.#place !== place) continue
      try {
        return new Connection(await pool.connect(), place, permit)
      } catch (error) {
        this.#forget(place)
        if (tries === mostTries || !isAway(error)) throw error
        this.#logLost(error)
        await new Promise((resolve) => setTimeout(resolve, retryPauseMs * (tries - 1)))
        tries++
      }
    }
  }

  /** Unless another one is known by now. */
  #forget(place: Promise<Place>): void {
    if (this.#place === place) this.forgetAddress()
  }

  #translated(error: unknown): unknown {
    const known = translated(error)
    const { integrationId, logger } = this.#options
    if (known !== error) logger.info({ integration: integrationId, cause: errorChain(error) }, 'database unavailable')
    return known
  }

  #findPlace(): Promise<Place> {
    if (this.#place) return this.#place
    const place = this.#options.controlPlane
      .wake(this.#options.integrationId)
      .then((woken) => ({ ...woken, pool: this.#openPool(woken) }))
    this.#place = place
    place.catch(() => {
      if (this.#place === place) this.#place = undefined
    })
    return place
  }

  #openPool({ socketDir, password }: WokenDatabase): pg.Pool {
    const { role, database } = this.#options
    const pool = new pg.Pool({
      host: socketDir,
      port: socketPort,
      user: role,
      password,
      database,
      stream: () => new BoundedSocket(),
      max: mostConnections,
      idleTimeoutMillis: idleTimeoutMs,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: answerTimeoutMs,
      application_name: 'pgrove auth',
      options: [
        ...authSessionSettings,
        `statement_timeout=${statementTimeoutMs}`,
        `lock_timeout=${lockTimeoutMs}`,
        `idle_in_transaction_session_timeout=${answerTimeoutMs}`,
      ]
        .map((setting) => `-c ${setting}`)
        .join(' '),
    })
    pool.on('error', (error) => this.#logLost(error))
    // One that is held and has nothing to do is nobody's to tell: whoever holds it hears so with his next statement.
    pool.on('connect', (client) => client.on('error', (error) => this.#logLost(error)))
    return pool
  }

  /** A compute that went to sleep takes its connections along. */
  #logLost(error: unknown): void {
    const { integrationId, logger } = this.#options
    logger.debug({ integration: integrationId, cause: errorChain(error) }, 'connection lost')
  }

  #end(pool: pg.Pool): void {
    const ended = pool.end().catch(() => {})
    this.#ending.add(ended)
    void ended.then(() => this.#ending.delete(ended))
  }
}

/** One of the pool's connections with one of the permits, until it is released; and closed then, where it is of no use any more. */
class Connection {
  readonly place: Promise<Place>
  readonly #client: pg.PoolClient
  readonly #permit: () => void
  #isLost = false
  #isReleased = false

  constructor(client: pg.PoolClient, place: Promise<Place>, permit: () => void) {
    this.#client = client
    this.place = place
    this.#permit = permit
  }

  async query<R extends pg.QueryResultRow = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<pg.QueryResult<R>> {
    if (this.#isReleased) throw busy()
    try {
      return await this.#client.query<R>(text, [...values])
    } catch (error) {
      this.#isLost ||= isLost(error)
      throw error
    }
  }

  get isLost(): boolean {
    return this.#isLost
  }

  lose(): void {
    this.#isLost = true
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#client.release(this.#isLost)
    this.#permit()
  }
}

/** A connection that Kysely holds for a statement or a transaction: another one takes its place as long as nothing was done on it. */
class KyselyClient implements DatabaseClient {
  readonly #reconnect: (lost: Connection) => Promise<Connection>
  readonly #translate: (error: unknown) => unknown
  #connection: Connection
  #transaction: { begin: string; statements: number } | undefined

  constructor(
    connection: Connection,
    database: { reconnect: (lost: Connection) => Promise<Connection>; translate: (error: unknown) => unknown },
  ) {
    this.#connection = connection
    this.#reconnect = database.reconnect
    this.#translate = database.translate
  }

  async query<R extends pg.QueryResultRow = Record<string, unknown>>(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<pg.QueryResult<R>> {
    for (let tries = 1; ; tries++) {
      try {
        if (tries > 1 && this.#transaction) await this.#connection.query(this.#transaction.begin)
        const result = await this.#connection.query<R>(text, values)
        this.#note(text)
        return result
      } catch (error) {
        if (tries === mostTries || !this.#mayRepeat(text, error)) throw this.#translate(error)
      }
      // The old one first: its permit is what the new one may be waiting for.
      this.#connection.release()
      this.#connection = await this.#reconnect(this.#connection)
    }
  }

  release(): void {
    // In the middle of something that nobody will end.
    if (this.#transaction) this.#connection.lose()
    this.#connection.release()
  }

  #mayRepeat(text: string, error: unknown): boolean {
    if (isEnd(text) || (this.#transaction && this.#transaction.statements > 0)) return false
    return didNothing(error) || (isBroken(error) && (this.#transaction !== undefined || isRead(text)))
  }

  #note(text: string): void {
    if (/^\s*(begin|start transaction)\b/i.test(text)) this.#transaction = { begin: text, statements: 0 }
    else if (isEnd(text)) this.#transaction = undefined
    else if (this.#transaction) this.#transaction.statements++
  }
}

const isEnd = (text: string): boolean => /^\s*(commit|rollback(?!\s+to)|end|abort)\b/i.test(text)
/** What a repeated one reads, it reads later; nothing else comes of it. Only our own statements are looked at. */
const isRead = (text: string): boolean => /^\s*select\b/i.test(text)

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : '')

/** Nobody answers there, or not yet, or not any more: another wake finds out. */
const awayCodes = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EAGAIN', '57P01', '57P02', '57P03'])
const isAway = (error: unknown): boolean => awayCodes.has(codeOf(error)) || isBroken(error)
/** The session ended before a statement of ours could have begun, or with it undone; or had ended, and nothing was sent. */
const didNothing = (error: unknown): boolean =>
  codeOf(error) === '57P01' || codeOf(error) === '57P05' || messageOf(error).endsWith('is not queryable')
/** What became of the last statement is not known. */
const brokenCodes = new Set(['57P02', 'ECONNRESET', 'EPIPE'])
const isBroken = (error: unknown): boolean =>
  brokenCodes.has(codeOf(error)) || /^Connection terminated(?! due to)/.test(messageOf(error))
const isLost = (error: unknown): boolean =>
  isAway(error) ||
  didNothing(error) ||
  codeOf(error) === '25P03' ||
  codeOf(error) === tooMuch ||
  messageOf(error) === 'Query read timeout'

const busy = (): AppError =>
  new AppError('unavailable', 'too many requests at once for this database; try again shortly', {
    retryAfterSeconds: 1,
  })

/** Of errors that are the database's state and no fault of the statement; constraint violations and the like stay what they are. */
function translated(error: unknown): unknown {
  if (error instanceof AppError) return error
  const unavailable = (message: string): AppError =>
    new AppError('unavailable', message, { cause: error, retryAfterSeconds: 1 })
  if (isLost(error)) return unavailable('the database went away; try again')
  if (/timeout/.test(messageOf(error)) && codeOf(error) === '')
    return unavailable('the database does not answer; try again shortly')
  switch (codeOf(error)) {
    case '55P03':
    case '57014':
    case '25P04':
    case '40P01':
    case '40001':
      return unavailable('the database is busy; try again shortly')
    case '53300':
      return unavailable('the database has no connection left for sign-in; try again shortly')
    case '53100':
    case '53200':
    case '25006':
    case '55006':
      return unavailable('the database takes no changes at the moment; try again later')
    case '28000':
    case '28P01':
    case '3D000':
    case '42501':
    case '42P01':
    case '42703':
    case '3F000':
      return unavailable('the database is not prepared for sign-in, or no longer: its schema or role is missing')
    default:
      return error
  }
}

// The control database: connections, transactions, migrations. Plain SQL; each table family has its file beside this one.
//
// Not stored here, and why: what runs at the moment (asked of the supervisor: a row would only ever be an echo of it), compute
// specs and the journal of starts and stops (files, so that a wake works while this database is down), data directories.

import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'
import { AppError, errorChain } from '../model/errors.ts'
import type { Logger } from '../lib/logger.ts'

export type Row = Record<string, unknown>

/** Runs one statement. Handed out by `Store`, either on a connection of its own or inside a transaction. */
export interface Sql {
  query<R = Row>(text: string, values?: readonly unknown[]): Promise<R[]>
}

// bigint columns hold counts and ids below 2^53; timestamps stay Date.
const types = new pg.TypeOverrides()
types.setTypeParser(20, Number)

const lostConnection = new Set(['57P01', '57P02', '57P03', '08000', '08001', '08003', '08006', '53300'])

function isConnectionError(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string }
  if (code !== undefined && (lostConnection.has(code) || /^E[A-Z]+$/.test(code))) return true
  return /Connection terminated|timeout exceeded when trying to connect|Client was closed|Query read timeout/.test(
    message ?? '',
  )
}

function translated(error: unknown): unknown {
  if (error instanceof AppError || !isConnectionError(error)) return error
  return new AppError('control_database_unavailable', 'the control database does not answer; try again shortly', {
    cause: error,
    retryAfterSeconds: 1,
  })
}

/** A database that hangs is as good as one that is away, and those who wait have clients waiting. */
const queryTimeoutMs = 10_000
const transactionStatementTimeoutMs = 30_000

type TimedQuery = pg.QueryConfig & { query_timeout: number }
const timed = (
  statement: { text: string; name?: string },
  values: readonly unknown[],
  timeoutMs: number,
): TimedQuery => ({ ...statement, values: [...values], query_timeout: timeoutMs })

export type StoreOptions = {
  connection:
    | { connectionString: string }
    | { host: string; port: number; user: string; password: string; database: string }
  maxConnections: number
  /** Statements are planned once a connection; not where a pooler stands between. */
  prepares: boolean
  logger: Logger
}

function openPool(options: StoreOptions, maxConnections: number, first?: string): pg.Pool {
  const pool = new pg.Pool({
    ...options.connection,
    max: maxConnections,
    idleTimeoutMillis: 30_000,
    connectionTimeoutMillis: 5_000,
    application_name: 'pgrove control',
    types,
    // The pool waits for it before it hands the connection out.
    ...(first === undefined ? {} : { onConnect: (client: pg.ClientBase) => client.query(first) as unknown as void }),
  })
  pool.on('error', (error) => options.logger.warn({ cause: errorChain(error) }, 'lost a control database connection'))
  return pool
}

const names = new Map<string, string>()

/** Statements are constants of the code, so there are as many names as there are of those. */
function nameOf(text: string): string {
  const known = names.get(text)
  if (known !== undefined) return known
  const name = `pgrove_${names.size}`
  names.set(text, name)
  return name
}

export class Store implements Sql {
  readonly #pool: pg.Pool
  /** Its commits do not wait for the disk. */
  readonly #quickPool: pg.Pool
  readonly #prepares: boolean

  constructor(options: StoreOptions) {
    this.#prepares = options.prepares
    this.#pool = openPool(options, options.maxConnections)
    this.#quickPool = openPool(options, Math.ceil(options.maxConnections / 4), 'set synchronous_commit = off')
  }

  /** One statement whose effect may be lost in a crash of the machine, for progress that the next run would make again. */
  async quick(text: string, values: readonly unknown[]): Promise<void> {
    try {
      await this.#quickPool.query(timed(this.#named(text), values, queryTimeoutMs))
    } catch (error) {
      throw translated(error)
    }
  }

  #named(text: string): { text: string; name?: string } {
    return this.#prepares ? { text, name: nameOf(text) } : { text }
  }

  async query<R = Row>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    try {
      const result = await this.#pool.query(timed(this.#named(text), values, queryTimeoutMs))
      return result.rows as R[]
    } catch (error) {
      throw translated(error)
    }
  }

  /** All of it or nothing. `quick`: the commit may be lost in a crash, for changes that the next run would make again. */
  async transaction<T>(
    work: (sql: Sql) => Promise<T>,
    options: { quick?: boolean; statementTimeoutMs?: number } = {},
  ): Promise<T> {
    let client: pg.PoolClient
    try {
      client = await this.#pool.connect()
    } catch (error) {
      throw translated(error)
    }
    let broken = false
    const lost = (): void => {
      broken = true
    }
    client.on('error', lost)
    const run = (text: string, values: readonly unknown[] = []): Promise<pg.QueryResult> =>
      client.query(
        timed(
          values.length > 0 ? this.#named(text) : { text },
          values,
          options.statementTimeoutMs ?? transactionStatementTimeoutMs,
        ),
      )
    try {
      await run(options.quick ? 'begin; set local synchronous_commit = off' : 'begin')
      const result = await work({
        query: async <R>(text: string, values: readonly unknown[] = []) => (await run(text, values)).rows as R[],
      })
      await run('commit')
      return result
    } catch (error) {
      // A connection that does not answer is closed, which rolls back as well.
      if (isConnectionError(error)) broken = true
      else await run('rollback').catch(lost)
      throw translated(error)
    } finally {
      client.off('error', lost)
      client.release(broken)
    }
  }

  /** A connection outside the pool, for locks that live as long as the session; `onLost` when it ends before its release. */
  async session(onLost: () => void = () => {}): Promise<pg.PoolClient> {
    try {
      const client = await this.#pool.connect()
      client.on('error', onLost)
      return client
    } catch (error) {
      throw translated(error)
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.end(), this.#quickPool.end()])
  }
}

const migrationsFolder = new URL('./migrations/', import.meta.url)
/** Any number that no other program would lock on the same database. */
const migrationLock = 7_046_029_254
/** Rewriting a large table takes its time, and so does waiting for somebody who is at it. */
const migrationTimeoutMs = 3_600_000

const numberOf = (file: string): number => Number(file.slice(0, 4))

/** Brings the schema up to date. Several control planes may do so at once. Throws `schema_newer` when a newer pgrove was here. */
export async function migrate(store: Store, logger: Logger): Promise<void> {
  const files = (await readdir(migrationsFolder)).filter((name) => /^\d{4}-.+\.sql$/.test(name)).toSorted()
  await store.transaction(
    async (sql) => {
      await sql.query('select pg_advisory_xact_lock($1)', [migrationLock])
      await sql.query(
        'create table if not exists migrations (number integer primary key, name text not null, applied_at timestamptz not null default now())',
      )
      const applied = await sql.query<{ number: number; name: string }>(
        'select number, name from migrations order by number',
      )
      const known = Math.max(0, ...files.map(numberOf))
      const newest = applied.at(-1)
      if (newest && newest.number > known) {
        throw new AppError(
          'schema_newer',
          `the control database has schema ${newest.number} (${newest.name}), this pgrove knows ${known}: a newer pgrove has used it. Install that version or newer, or point PGROVE_HOME or PGROVE_CONTROL_DATABASE_URL elsewhere`,
        )
      }
      const done = new Set(applied.map(({ number }) => number))
      for (const name of files.filter((each) => !done.has(numberOf(each)))) {
        await sql.query(await readFile(new URL(name, migrationsFolder), 'utf8'))
        await sql.query('insert into migrations (number, name) values ($1, $2)', [numberOf(name), name])
        logger.info({ migration: name }, 'migrated the control database')
      }
    },
    { statementTimeoutMs: migrationTimeoutMs },
  )
}

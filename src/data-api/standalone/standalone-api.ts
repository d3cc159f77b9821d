// A Data API over any Postgres, as PostgREST is one: configured by file, environment and database, and anew while it serves.
//
// What is configured anew is another engine in the place of the one before, over the same connections; requests that have begun end as they began.

import { once } from 'node:events'
import { chmod, lstat, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import pg from 'pg'
import { createLogger, type Logger } from '../../lib/logger.ts'
import { SingleFlight } from '../../lib/single-flight.ts'
import { AppError, errorChain } from '../../model/errors.ts'
import { createAdminServer } from '../admin-server.ts'
import { noTokens } from '../authentication/identity.ts'
import { keysOfSecret } from '../authentication/secret.ts'
import { askDatabase } from '../configuration/in-database.ts'
import { readOptions, type Options } from '../configuration/options.ts'
import { DataApi } from '../engine.ts'
import { DataApiError } from '../errors.ts'
import { createHttpServer } from '../http-server.ts'
import { PgConnections } from '../pg-connections.ts'
import type { HttpRequest } from '../request/request.ts'
import type { HttpAnswer } from '../response/answer.ts'
import { failureAnswer } from '../response/failure.ts'
import { keeperOf, type SchemaCacheKeeper } from '../schema-cache-keeper.ts'
import { Listener, type Change } from './listener.ts'

/** Options by the names that they have in a file. */
export type Said = ReadonlyMap<string, string>

type Current = { options: Options; said: Said; engine: DataApi; keeper: SchemaCacheKeeper }

/** Whatever may hold a secret, by its name or because anybody may put anything there. */
const isSecret = (name: string): boolean => /secret|passw|^db-uri$|^app\.settings\./.test(name)
const connectTimeoutMs = 10_000

export class StandaloneApi {
  readonly #read: () => Promise<Said>
  readonly #logger: Logger
  readonly #connections: PgConnections
  readonly #connection: pg.ClientConfig
  readonly #servers: Server[] = []
  readonly #loads = { loaded: 0, failed: 0, tookMs: 0 }
  readonly #tokenCounts = noTokens()
  readonly #mostConnections: number
  #current: Current
  /** Whether the database has said its options, once. */
  #isAsked = false
  readonly #asking = new SingleFlight<void>()
  #listener: Listener | undefined
  #reloading: Promise<void> = Promise.resolve()

  private constructor(read: () => Promise<Said>, said: Said, options: Options, dbUri: string) {
    const { server } = options
    this.#read = read
    this.#logger = createLogger({ level: server.logLevel, process: 'data-api' })
    this.#connection = { connectionString: dbUri, application_name: 'pgrove data-api' }
    this.#mostConnections = server.pool
    this.#connections = new PgConnections({
      connection: this.#connection,
      most: server.pool,
      longestWaitMs: server.poolWaitMs,
      idleSeconds: server.poolIdleSeconds,
      lifetimeSeconds: server.poolLifetimeSeconds,
    })
    this.#current = this.#made(said, options)
  }

  /** `read`: what file and environment say; asked again for each reload. Throws `config_invalid`. */
  static async start(read: () => Promise<Said>): Promise<StandaloneApi> {
    const said = await read()
    const options = optionsOf(said)
    const { dbUri } = options.server
    if (dbUri === undefined)
      throw new AppError(
        'config_invalid',
        'which database? give --db-uri postgres://…, or db-uri in the file that --config names',
      )
    const service = new StandaloneApi(read, said, options, dbUri)
    try {
      await service.#configure(said).catch((error: unknown) => {
        service.#logger.error({ cause: errorChain(error) }, 'the database cannot be asked for options yet')
      })
      await service.#listen(options)
    } catch (error) {
      await service.close()
      throw error
    }
    return service
  }

  get warnings(): readonly string[] {
    return this.#current.options.warnings
  }

  /** Where it listens: a port of an address, or the path of a socket. */
  get place(): string {
    const address = this.#servers[0]?.address()
    const { host } = this.#current.options.server
    return typeof address === 'object' && address !== null ? `http://${host}:${address.port}` : String(address)
  }

  get adminPlace(): string | undefined {
    const address = this.#servers[1]?.address()
    return typeof address === 'object' && address !== null ? `http://${address.address}:${address.port}` : undefined
  }

  /** How many relations there are. */
  async relations(): Promise<number> {
    return (await this.#current.keeper.get()).relations.size
  }

  reloadSchema(): void {
    this.#current.keeper.reload()
  }

  /** Where it cannot be read, what was before goes on. */
  reloadConfig(): void {
    this.#reloading = this.#reloading.then(async () => {
      try {
        await this.#configure(await this.#read())
        this.#logger.info('configured anew')
      } catch (error) {
        this.#logger.error({ cause: errorChain(error) }, 'the configuration cannot be read; the one before goes on')
      }
    })
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.close()
      server.closeIdleConnections()
    }
    await this.#listener?.close()
    await this.#reloading
    await this.#connections.close()
  }

  #made(said: Said, options: Options): Current {
    const { config, server } = options
    const keeper = keeperOf(this.#connections, config, this.#logger, {
      loaded: (_, tookMs) => {
        this.#loads.loaded++
        this.#loads.tookMs = tookMs
      },
      failed: () => void this.#loads.failed++,
    })
    const keys = keysOfSecret(server.jwtSecret, server.jwtSecretIsBase64)
    const engine = new DataApi({
      config,
      connections: this.#connections,
      cache: keeper,
      keys,
      tokenCounts: this.#tokenCounts,
      logger: this.#logger,
    })
    return { options, said, engine, keeper }
  }

  /** Throws where the database cannot be asked; what is in force stays. */
  async #configure(ofFiles: Said): Promise<void> {
    const options = optionsOf(ofFiles)
    const said = new Map([...ofFiles, ...(await this.#askDatabase(options))])
    if (!isSame(said, this.#current.said)) {
      try {
        this.#current = this.#made(said, optionsOf(said))
        for (const warning of this.#current.options.warnings) this.#logger.warn(warning)
      } catch (error) {
        this.#logger.error({ cause: errorChain(error) }, 'options in the database cannot be used; they are left out')
        // What was in force goes on: without them more might be allowed.
        if (!this.#isAsked) this.#current = this.#made(ofFiles, options)
      }
    }
    this.#isAsked = true
  }

  async #askDatabase({ server }: Options): Promise<Said> {
    if (!server.asksDatabase) return new Map()
    const client = new pg.Client({ ...this.#connection, connectionTimeoutMillis: connectTimeoutMs })
    client.on('error', () => {})
    try {
      await client.connect()
      return await askDatabase(client, server.preConfig)
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** Nobody is served by files alone as long as the database may say otherwise. */
  async #handle(request: HttpRequest): Promise<HttpAnswer> {
    if (!this.#isAsked) await this.#asking.run('', () => this.#configure(this.#current.said)).catch(() => {})
    if (this.#isAsked) return await this.#current.engine.handle(request)
    const message = 'Database client error. Retrying the connection.'
    return failureAnswer(new DataApiError({ code: 'PGRST000', message }), true)
  }

  async #listen({ server, config }: Options): Promise<void> {
    const http = createHttpServer({
      handle: (request) => this.#handle(request),
      longestBodyBytes: config.longestBodyBytes,
    })
    this.#servers.push(http)
    if (server.unixSocket === undefined) await open(http, { host: server.host, port: server.port })
    else await openSocket(http, server.unixSocket, server.unixSocketMode)
    if (server.adminPort !== undefined) {
      const admin = createAdminServer({
        isLive: () => http.listening,
        isReady: () => this.#isReady(),
        pool: () => ({ ...this.#connections.counts, most: this.#mostConnections }),
        schemaLoads: () => this.#loads,
        tokens: () => this.#tokenCounts,
        config: () => shown(this.#current.said),
      })
      this.#servers.push(admin)
      await open(admin, { host: server.adminHost, port: server.adminPort })
    }
    if (server.channel !== undefined) {
      const heard = (change: Change): void => {
        if (change !== 'config') this.reloadSchema()
        if (change !== 'schema') this.reloadConfig()
      }
      this.#listener = new Listener(this.#connection, server.channel, heard, this.#logger)
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      await this.#current.keeper.get()
      const connection = await this.#connections.connect()
      const isSound = await connection.query({ text: 'SELECT 1' }).then(
        () => true,
        () => false,
      )
      connection.release(isSound)
      return isSound
    } catch {
      return false
    }
  }
}

/** Throws `config_invalid`. */
function optionsOf(said: Said): Options {
  try {
    return readOptions(said)
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : 'it cannot be read'
    throw new AppError('config_invalid', `the configuration of the Data API: ${what}`, { cause })
  }
}

const isSame = (a: Said, b: Said): boolean =>
  a.size === b.size && [...a].every(([name, value]) => b.get(name) === value)

async function open(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening').catch((cause: unknown) => {
    throw new AppError('config_invalid', `cannot listen on ${host}:${port}; choose another port`, { cause })
  })
}

async function openSocket(server: Server, path: string, mode: number): Promise<void> {
  const there = await lstat(path).catch(() => undefined)
  if (there && !there.isSocket())
    throw new AppError('config_invalid', `${path} is no socket; choose another server-unix-socket`)
  // Of one that has ended without a word.
  await rm(path, { force: true })
  server.listen(path)
  await once(server, 'listening').catch((cause: unknown) => {
    throw new AppError('config_invalid', `cannot listen at ${path}; choose another server-unix-socket`, { cause })
  })
  await chmod(path, mode)
}

const shown = (said: Said): string =>
  [...said]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} = ${isSecret(name) ? '"…"' : JSON.stringify(value)}\n`)
    .join('')

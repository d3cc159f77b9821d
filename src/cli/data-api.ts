// `pgrove data-api`: a REST API over any Postgres, as PostgREST is one. Nothing else of pgrove runs.

import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { keysOfSecret } from '../data-api/authentication/secret.ts'
import { configOfEnvironment, parseConfigFile } from '../data-api/configuration/config-file.ts'
import { readOptions, type Options } from '../data-api/configuration/options.ts'
import { DataApi } from '../data-api/engine.ts'
import { createHttpServer } from '../data-api/http-server.ts'
import { PgConnections } from '../data-api/pg-connections.ts'
import { keeperOf } from '../data-api/schema-cache-keeper.ts'
import { createLogger, type Logger } from '../lib/logger.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { Printer } from './printer.ts'

export type DataApiArguments = {
  dbUri: string | undefined
  host: string | undefined
  port: string | undefined
  /** A file in PostgREST's format. */
  config: string | undefined
}

const listenAgainMs = 1_000

export async function dataApi(given: DataApiArguments, printer: Printer): Promise<void> {
  const { config, server, warnings } = await optionsOf(given)
  for (const warning of warnings) printer.line(warning)
  const { dbUri } = server
  if (dbUri === undefined)
    throw new AppError(
      'config_invalid',
      'which database? give --db-uri postgres://…, or db-uri in the file that --config names',
    )
  const logger = createLogger({ level: 'info', process: 'data-api' })
  const connection = { connectionString: dbUri, application_name: 'pgrove data-api' }
  const connections = new PgConnections({ connection, most: server.pool, longestWaitMs: server.poolWaitMs })
  const cache = keeperOf(connections, config, logger)
  const keys = keysOfSecret(server.jwtSecret, server.jwtSecretIsBase64)
  const engine = new DataApi({ config, connections, cache, keys, logger })
  const http = createHttpServer({
    handle: (request) => engine.handle(request),
    longestBodyBytes: config.longestBodyBytes,
  })
  http.listen(server.port, server.host)
  await once(http, 'listening').catch((cause: unknown) => {
    throw new AppError('config_invalid', `cannot listen on ${server.host}:${server.port}; choose another --port`, {
      cause,
    })
  })
  const listener =
    server.channel === undefined ? undefined : new Listener(connection, server.channel, () => cache.reload(), logger)
  process.on('SIGUSR1', () => cache.reload())
  await cache.get().then(
    ({ relations }) => printer.line(`schema cache: ${relations.size} relations`),
    (error: unknown) => printer.line(`the database cannot be read yet: ${errorChain(error)}`),
  )
  printer.line(`data api   http://${server.host}:${(http.address() as AddressInfo).port}`)
  printer.line('ready')
  await new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
  http.close()
  http.closeIdleConnections()
  await listener?.close()
  await connections.close()
}

async function optionsOf({ dbUri, host, port, config: file }: DataApiArguments): Promise<Options> {
  try {
    const ofFile = file === undefined ? [] : parseConfigFile(await readFile(file, 'utf8'))
    const said = new Map([...ofFile, ...configOfEnvironment(process.env)])
    if (dbUri !== undefined) said.set('db-uri', dbUri)
    if (host !== undefined) said.set('server-host', host)
    if (port !== undefined) said.set('server-port', port)
    return readOptions(said)
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : 'it cannot be read'
    throw new AppError('config_invalid', `the configuration of the Data API: ${what}`, { cause })
  }
}

/** Hears of changes on a connection of its own. While that is away, everything may have changed. */
class Listener {
  readonly #connection: pg.ClientConfig
  readonly #channel: string
  readonly #changed: () => void
  readonly #logger: Logger
  #client: pg.Client | undefined
  #isClosed = false
  #isAway = false

  constructor(connection: pg.ClientConfig, channel: string, changed: () => void, logger: Logger) {
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
    client.on('notification', ({ payload }) => {
      if (payload === '' || payload === undefined || payload === 'reload schema') this.#changed()
    })
    client.once('end', () => {
      this.#changed()
      if (!this.#isClosed) setTimeout(() => void this.#listen(), listenAgainMs)
    })
    try {
      await client.connect()
      await client.query(`LISTEN ${pg.escapeIdentifier(this.#channel)}`)
      this.#isAway = false
      this.#changed()
    } catch (error) {
      // Once for each time that it goes away.
      if (!this.#isAway) this.#logger.warn({ cause: errorChain(error) }, 'changes of the schema are not heard of')
      this.#isAway = true
      await client.end().catch(() => {})
    }
  }
}

// The schema cache of one database: loaded when it is first needed, kept until somebody says that it changed, and looked at again where a name is
// not in it. While it is loaded anew, the old one serves; where that fails, it goes on serving.

import { errorChain } from '../model/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { ConnectionSource } from './connections.ts'
import { DataApiError } from './errors.ts'
import { loadSchemaCache, type AskText } from './schema-cache/load.ts'
import type { SchemaCache } from './schema-cache/schema-cache.ts'

/** A miss asks again only of what is older than that, in milliseconds. */
const youngMs = 2_000

/** What becomes of the looks at a schema. */
export type KeeperEvents = {
  /** `bytes`: of which it was made. */
  loaded?: (bytes: number) => void
  failed?: () => void
}

/**
 * All queries see the same. On no path, Postgres writes types and defaults with their schemas, so that they mean the same on whatever path a
 * request has.
 */
const beginOneLook = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''`

/** Of the database that the connections lead to. */
export function keeperOf(
  connections: ConnectionSource,
  config: Parameters<typeof loadSchemaCache>[1],
  logger: Logger,
  { loaded: told, failed }: KeeperEvents = {},
): SchemaCacheKeeper {
  const load = async (): Promise<SchemaCache> => {
    const connection = await connections.connect()
    let isSound = false
    try {
      let bytes = 0
      const ask: AskText = async (text, values) => {
        const said = (await connection.query({ text, ...(values && { values }) })).rows[0]?.[0] ?? ''
        bytes += said.length
        return said
      }
      await connection.query({ text: beginOneLook })
      const loaded = await loadSchemaCache(ask, config)
      await connection.query({ text: 'COMMIT' })
      told?.(bytes)
      isSound = true
      return loaded
    } catch (error) {
      failed?.()
      throw error
    } finally {
      connection.release(isSound)
    }
  }
  return new SchemaCacheKeeper(load, logger)
}

export class SchemaCacheKeeper {
  readonly #load: () => Promise<SchemaCache>
  readonly #logger: Logger
  #cache: SchemaCache | undefined
  #loading: Promise<SchemaCache> | undefined
  #isStale = false

  constructor(load: () => Promise<SchemaCache>, logger: Logger) {
    this.#load = load
    this.#logger = logger
  }

  /** Throws PGRST002 where there has never been one. */
  async get(): Promise<SchemaCache> {
    if (this.#cache && !this.#isStale) return this.#cache
    return await this.#loaded()
  }

  /** What is asked for from now on sees what there is now. */
  reload(): void {
    this.#isStale = true
  }

  /** Another look where a name was not found; undefined where what is known is too young to be wrong. */
  async again(known: SchemaCache): Promise<SchemaCache | undefined> {
    if (this.#cache !== known) return await this.get()
    if (performance.now() - known.loadedAt < youngMs) return undefined
    this.#isStale = true
    const cache = await this.#loaded()
    return cache === known ? undefined : cache
  }

  async #loaded(): Promise<SchemaCache> {
    this.#isStale = false
    const loading = (this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined
    }))
    try {
      this.#cache = await loading
      return this.#cache
    } catch (cause) {
      this.#isStale = true
      this.#logger.warn({ cause: errorChain(cause) }, 'the schema cache could not be loaded')
      if (this.#cache) return this.#cache
      if (cause instanceof DataApiError) throw cause
      throw new DataApiError({
        code: 'PGRST002',
        message: 'Could not query the database for the schema cache. Retrying.',
        cause,
      })
    }
  }
}

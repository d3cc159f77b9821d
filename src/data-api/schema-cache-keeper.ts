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
  /** `bytes`: of which it was made; `tookMs`: from the first query to the last. */
  loaded?: (bytes: number, tookMs: number) => void
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
      const beganMs = performance.now()
      await connection.query({ text: beginOneLook })
      const loaded = await loadSchemaCache(ask, config)
      await connection.query({ text: 'COMMIT' })
      told?.(bytes, performance.now() - beganMs)
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

/** A look at the schema, that began after so many changes. */
type Look = { changes: number; cache: Promise<SchemaCache> }

export class SchemaCacheKeeper {
  readonly #load: () => Promise<SchemaCache>
  readonly #logger: Logger
  #known: { changes: number; cache: SchemaCache } | undefined
  #look: Look | undefined
  /** That we have heard of. */
  #changes = 0

  constructor(load: () => Promise<SchemaCache>, logger: Logger) {
    this.#load = load
    this.#logger = logger
  }

  /** Throws PGRST002 where there has never been one. */
  async get(): Promise<SchemaCache> {
    if (this.#known?.changes === this.#changes) return this.#known.cache
    return await this.#looked(this.#changes)
  }

  /** What is asked for from now on sees what there is now. */
  reload(): void {
    this.#changes++
  }

  /** Another look where a name was not found; undefined where what is known is too young to be wrong. */
  async again(known: SchemaCache): Promise<SchemaCache | undefined> {
    if (this.#known?.cache !== known) return await this.get()
    if (performance.now() - known.loadedAt < youngMs) return undefined
    this.reload()
    const cache = await this.get()
    return cache === known ? undefined : cache
  }

  /** By a look that began after these changes: one that was under way before may not have seen the last of them. */
  async #looked(changes: number): Promise<SchemaCache> {
    for (;;) {
      const look = (this.#look ??= this.#begin())
      try {
        const cache = await look.cache
        if (look.changes >= changes) return cache
      } catch (cause) {
        if (look.changes < changes) continue
        // As good as it was; the next one who asks has another look taken.
        if (this.#known) return this.#known.cache
        if (cause instanceof DataApiError) throw cause
        throw new DataApiError({
          code: 'PGRST002',
          message: 'Could not query the database for the schema cache. Retrying.',
          cause,
        })
      }
    }
  }

  #begin(): Look {
    const changes = this.#changes
    const cache = this.#load().then(
      (loaded) => {
        this.#look = undefined
        this.#known = { changes, cache: loaded }
        return loaded
      },
      (cause: unknown) => {
        this.#look = undefined
        this.#logger.warn({ cause: errorChain(cause) }, 'the schema cache could not be loaded')
        throw cause
      },
    )
    return { changes, cache }
  }
}

// The Data API of one database: a request goes in, an answer comes out. What it runs on it is handed: connections, keys, the schema cache.

import type { Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import { Authentication, type KeySource, type TokenCounts } from './authentication/identity.ts'
import type { DataApiConfig } from './config.ts'
import type { ConnectionSource } from './connections.ts'
import { isDataApiError } from './errors.ts'
import { execute } from './execution/execute.ts'
import { describe } from './openapi/document.ts'
import { planRequest } from './plan/plan-request.ts'
import { parseRequest } from './request/parse-request.ts'
import type { ApiRequest, HttpRequest } from './request/request.ts'
import type { HttpAnswer } from './response/answer.ts'
import { failureAnswer } from './response/failure.ts'
import { isHeader } from './response/header.ts'
import { corsHeaders, inspectAnswer, preflightAnswer } from './response/inspect.ts'
import { isPostgresError } from './response/postgres-errors.ts'
import { successAnswer } from './response/success.ts'
import type { SchemaCache } from './schema-cache/schema-cache.ts'
import type { SchemaCacheKeeper } from './schema-cache-keeper.ts'
import { Timing } from './response/timing.ts'

export type DataApiOptions = {
  config: DataApiConfig
  connections: ConnectionSource
  cache: Pick<SchemaCacheKeeper, 'get' | 'again'>
  keys: KeySource
  /** Counted on in, where somebody wants to know. */
  tokenCounts?: TokenCounts
  logger: Logger
}

/** Of a name that is not in the cache: it may be newer. */
const misses = new Set(['PGRST200', 'PGRST202', 'PGRST204', 'PGRST205', '42703', '42P01', '42883'])

export class DataApi {
  readonly #options: DataApiOptions
  readonly #authentication: Authentication

  constructor(options: DataApiOptions) {
    this.#options = options
    this.#authentication = new Authentication(options.config, options.keys, options.tokenCounts)
  }

  /** Never rejects. */
  async handle(http: HttpRequest): Promise<HttpAnswer> {
    const { config, logger } = this.#options
    const origins = config.serverCorsAllowedOrigins
    const preflight = preflightAnswer(http.method, http.headers, origins)
    if (preflight) return preflight
    const timing = new Timing()
    const isAnonymous = http.headers['authorization'] === undefined
    const answer = await this.#answer(http, timing).catch((error: unknown) => {
      if (!isDataApiError(error) && !isPostgresError(error))
        logger.error({ cause: errorChain(error) }, 'a request failed')
      return failureAnswer(error, isAnonymous)
    })
    const trace = config.serverTraceHeader?.toLowerCase()
    const traced = trace === undefined ? undefined : http.headers[trace]
    return {
      ...answer,
      headers: [
        ...answer.headers,
        ...corsHeaders(http.headers['origin'], origins),
        ...(config.serverTimingEnabled ? [['Server-Timing', timing.header()] as const] : []),
        ...(traced !== undefined && isHeader(trace ?? '', traced)
          ? [[config.serverTraceHeader ?? '', traced] as const]
          : []),
      ],
    }
  }

  async #answer(http: HttpRequest, timing: Timing): Promise<HttpAnswer> {
    const { config, cache } = this.#options
    const identity = await timing.of('jwt', () => this.#authentication.identify(http.headers['authorization']))
    const request = await timing.of('parse', async () => parseRequest(http, config))
    const known = await cache.get()
    try {
      return await this.#act(request, identity, known, timing)
    } catch (error) {
      const code = isDataApiError(error) || isPostgresError(error) ? error.code : ''
      const newer = misses.has(code) ? await cache.again(known) : undefined
      if (!newer) throw error
      return await this.#act(request, identity, newer, timing)
    }
  }

  async #act(
    request: ApiRequest,
    identity: Awaited<ReturnType<Authentication['identify']>>,
    cache: SchemaCache,
    timing: Timing,
  ): Promise<HttpAnswer> {
    const { config, connections } = this.#options
    const { action } = request
    switch (action.kind) {
      case 'inspect':
        return await timing.of('response', async () => inspectAnswer(request, action.resource, cache))
      case 'describe':
      case 'read':
      case 'mutate':
      case 'call': {
        const plan = await timing.of('plan', async () => planRequest(request, action, cache, config))
        const result = await timing.of('transaction', () =>
          execute(connections, { request, plan, identity, cache, config }),
        )
        return await timing.of('response', async () => {
          const isFacts = plan.kind === 'describe' && !plan.isHead
          const body = isFacts ? describe(result.body.toString(), request, cache, config) : result.body
          return successAnswer(request, plan, { ...result, body }, cache, config)
        })
      }
    }
  }
}

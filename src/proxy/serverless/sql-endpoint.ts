// `POST /sql`: who asks, what, and the answer.
//
// Nothing of a body is read before its sender is known, and no compute is woken for a body that is none. A client that goes away
// takes its query along.

import { createHash, randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../../lib/logger.ts'
import { errorChain, isAppError } from '../../model/errors.ts'
import type { ScramKeys } from '../../pgwire/scram-keys.ts'
import type { StartupParameter } from '../../pgwire/startup-packet.ts'
import type { ActivityLedger } from '../activity.ts'
import type { Authenticator } from '../authenticate.ts'
import type { ControlPlane, RoleAccess } from '../control-plane.ts'
import { refusals } from '../errors.ts'
import { openServer } from '../open-server.ts'
import { Refusal } from '../refusal.ts'
import { computeNameOf } from '../route.ts'
import { ServerRefused } from '../server-refused.ts'
import type { Waker } from '../wake.ts'
import { parseConnectionString, type ConnectionString } from './connection-string.ts'
import type { Statement } from './extended-query.ts'
import { ResultJson, tooLarge } from './result-json.ts'
import { ServerConnection, type ResultSink } from './server-query.ts'
import { answerForError, badRequest, QueryFailed, SqlHttpError, wasUntouched, type SqlAnswer } from './sql-answer.ts'
import type { Lease, SqlPool } from './sql-pool.ts'
import {
  isolationLevels,
  missingPassword,
  missingToken,
  readSqlBody,
  readSqlHeaders,
  type SqlBody,
  type SqlOptions,
  type SqlQuery,
} from './sql-request.ts'

export type SqlEndpointDependencies = {
  domains: readonly string[]
  controlPlane: Pick<ControlPlane, 'authorizeToken'>
  authenticator: Pick<Authenticator, 'password' | 'admit'>
  waker: Waker
  ledger: Pick<ActivityLedger, 'meter'>
  logger: Logger
  pool: SqlPool<ServerConnection>
}

export const longestRequest = 10 * 1024 * 1024

const allowedHeaders = [
  'Authorization',
  'Neon-Connection-String',
  'Neon-Raw-Text-Output',
  'Neon-Array-Mode',
  'Neon-Pool-Opt-In',
  'Neon-Batch-Read-Only',
  'Neon-Batch-Isolation-Level',
  'Neon-Batch-Deferrable',
]

/** Who may have what done. */
type Caller = {
  computeName: string
  parameters: readonly StartupParameter[]
  keys: ScramKeys
  /** Connections at work for one role and database. */
  poolSize: number
  /** JSON text of a token's claims. */
  claims: string | undefined
}

/** A request that is to be run. */
type Task = {
  caller: Caller
  options: SqlOptions
  body: SqlBody
  /** Of the body, in bytes. */
  length: number
}

export class SqlEndpoint {
  readonly #dependencies: SqlEndpointDependencies
  /** By compute: what ends a request that is at work there. */
  readonly #atWork = new Map<string, Set<(error: Error) => void>>()

  constructor(dependencies: SqlEndpointDependencies) {
    this.#dependencies = dependencies
  }

  /** Requests that are still at work there get this as their answer. */
  end(computeName: string, error: Error): void {
    for (const end of this.#atWork.get(computeName) ?? []) end(error)
  }

  /** Answers; never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const gone = new AbortController()
    response.on('close', () => gone.abort(clientGone()))
    void this.#answer(request, gone.signal)
      .catch((error: unknown) => {
        if (!gone.signal.aborted) this.#log(error)
        return answerForError(error)
      })
      .then(({ status, headers, body }) => {
        if (response.destroyed) return
        const length = body.reduce((sum, part) => sum + part.length, 0)
        response.writeHead(status, {
          ...headers,
          'access-control-allow-origin': '*',
          'neon-request-id': randomUUID(),
          'content-length': length,
        })
        for (const part of body) response.write(part)
        response.end()
        // A client that is still sending reads the answer when it is done.
        request.resume()
      })
  }

  async #answer(request: IncomingMessage, gone: AbortSignal): Promise<SqlAnswer> {
    if (request.method === 'OPTIONS') return preflight
    if (request.method !== 'POST') throw badRequest('query is not supported')
    const options = readSqlHeaders(request.headers)
    const asked = parseConnectionString(options.connectionString, request.headers.host, this.#dependencies.domains)
    const caller = await this.#authenticate(options, asked, request)
    const bytes = await readBody(request)
    const body = readSqlBody(bytes)
    const result = await this.#run({ caller, options, body, length: bytes.length }, gone)
    return { status: 200, headers: resultHeaders(options, body), body: result }
  }

  async #authenticate(options: SqlOptions, asked: ConnectionString, request: IncomingMessage): Promise<Caller> {
    const { authenticator } = this.#dependencies
    const { route, user, password, parameters } = asked
    const computeName = computeNameOf(route)
    const applicant = { endpointId: route.endpointId, user, address: request.socket.remoteAddress }
    if (options.token !== undefined) {
      const access = await authenticator.admit(applicant)
      const { keys, claims } = await this.#authorize(route.endpointId, user, options.token, access)
      return { computeName, parameters, keys, claims, poolSize: access?.poolSize ?? 1 }
    }
    if (request.headers.host?.startsWith('apiauth.')) throw missingToken()
    if (password === undefined) throw missingPassword()
    const { keys, access } = await authenticator.password(applicant, password)
    return { computeName, parameters, keys, claims: undefined, poolSize: access.poolSize }
  }

  async #authorize(
    endpointId: string,
    user: string,
    token: string,
    access: RoleAccess | undefined,
  ): Promise<{ keys: ScramKeys; claims: string }> {
    // An endpoint that does not exist answers as a role that does not.
    if (!access) throw refusals.authenticationFailed(user)
    try {
      const granted = await this.#dependencies.controlPlane.authorizeToken(endpointId, user, token)
      const keys = {
        clientKey: Buffer.from(granted.clientKey, 'base64'),
        serverKey: Buffer.from(granted.serverKey, 'base64'),
      }
      return { keys, claims: granted.claims }
    } catch (error) {
      if (isAppError(error, 'endpoint_not_found')) throw refusals.authenticationFailed(user)
      if (isAppError(error, 'unauthorized')) throw new SqlHttpError(400, error.message, '28000')
      throw error
    }
  }

  /** Runs it, and once more where the connection turns out to be dead before it has done anything. */
  async #run(task: Task, gone: AbortSignal): Promise<Buffer[]> {
    for (let isRetry = false; ; isRetry = true) {
      try {
        const lease = await this.#lease(task.caller, gone, isRetry)
        return await this.#runOn(lease, task, gone)
      } catch (error) {
        if (isRetry || gone.aborted || !wasUntouched(error)) throw error
      }
    }
  }

  async #lease(caller: Caller, gone: AbortSignal, fresh: boolean): Promise<Lease<ServerConnection>> {
    const { waker, ledger, pool } = this.#dependencies
    const { computeName, parameters, keys, poolSize } = caller
    const name = JSON.stringify([createHash('sha256').update(keys.clientKey).digest('base64'), parameters])
    const open = async (): Promise<ServerConnection> => {
      const target = { computeName, parameters, keys }
      // Only now it is known to exist: a meter is for good.
      const onDial = (): void => ledger.meter(computeName).touch()
      const opened = await openServer(waker, target, () => !gone.aborted, onDial)
      return new ServerConnection(opened, () => ledger.meter(computeName).rolesMayHaveChanged())
    }
    return await pool.lease({ computeName, name, mostTaken: poolSize }, open, gone, { fresh })
  }

  async #runOn(lease: Lease<ServerConnection>, task: Task, gone: AbortSignal): Promise<Buffer[]> {
    const { connection } = lease
    const { computeName } = task.caller
    const meter = this.#dependencies.ledger.meter(computeName)
    const cancel = (): void => void connection.cancel()
    gone.addEventListener('abort', cancel)
    const ended = Promise.withResolvers<never>()
    const end = (error: Error): void => {
      ended.reject(error)
      cancel()
    }
    const atWork = this.#atWork.get(computeName) ?? new Set()
    this.#atWork.set(computeName, atWork.add(end))
    meter.sessionOpened()
    meter.serverTaken()
    meter.bytesFromClient += task.length
    meter.touch()
    try {
      gone.throwIfAborted()
      const result = await Promise.race([resultOf(connection, task), ended.promise])
      lease.release()
      meter.bytesToClient += result.reduce((sum, part) => sum + part.length, 0)
      return result
    } catch (error) {
      lease.discard()
      throw error
    } finally {
      atWork.delete(end)
      if (atWork.size === 0 && this.#atWork.get(computeName) === atWork) this.#atWork.delete(computeName)
      gone.removeEventListener('abort', cancel)
      meter.touch()
      meter.serverLeft()
      meter.sessionClosed()
    }
  }

  #log(error: unknown): void {
    const { logger } = this.#dependencies
    const fields = { error: errorChain(error) }
    if ([QueryFailed, ServerRefused, Refusal, SqlHttpError].some((kind) => error instanceof kind)) {
      logger.debug(fields, 'sql request refused')
    } else if (isAppError(error) && error.isCallersFault) {
      logger.info(fields, 'sql request refused')
    } else {
      logger.warn(fields, 'sql request failed')
    }
  }
}

function clientGone(): SqlHttpError {
  return new SqlHttpError(400, 'Query cancelled, connection was terminated', '08P01')
}

const preflight: SqlAnswer = {
  status: 200,
  headers: {
    allow: 'OPTIONS, POST',
    'access-control-allow-headers': allowedHeaders.join(', '),
    'access-control-max-age': '86400',
  },
  body: [],
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const tooLong = (): SqlHttpError => new SqlHttpError(413, `request is too large (max is ${longestRequest} bytes)`)
  if (Number(request.headers['content-length'] ?? 0) > longestRequest) throw tooLong()
  const chunks: Buffer[] = []
  let length = 0
  try {
    // Not destroyed where it is left early: the answer goes out on the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk as Buffer)
      length += (chunk as Buffer).length
      if (length > longestRequest) throw tooLong()
    }
  } catch (error) {
    if (error instanceof SqlHttpError) throw error
    throw clientGone()
  }
  return Buffer.concat(chunks, length)
}

function resultHeaders({ transaction }: SqlOptions, body: SqlBody): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (body.kind === 'single') return headers
  if (transaction.readOnly) headers['neon-batch-read-only'] = 'true'
  if (transaction.deferrable) headers['neon-batch-deferrable'] = 'true'
  if (transaction.isolationLevel) headers['neon-batch-isolation-level'] = transaction.isolationLevel
  return headers
}

/** Throws as `ServerConnection.run` does. */
async function resultOf(connection: ServerConnection, { caller, options, body }: Task): Promise<Buffer[]> {
  if (body.kind === 'batch') return await runBatch(connection, body.queries, options, caller.claims)
  // By itself: a statement that takes no transaction around it (VACUUM …) would find itself in one.
  if (caller.claims !== undefined) await connection.run([setClaims(caller.claims, false)], nothing)
  return await runSingle(connection, body.query, options)
}

async function runSingle(connection: ServerConnection, query: SqlQuery, options: SqlOptions): Promise<Buffer[]> {
  const json = new ResultJson(options.rawText)
  await connection.run([toStatement(query)], sinkInto(json, [query], 0, options))
  return json.finish()
}

async function runBatch(
  connection: ServerConnection,
  queries: readonly SqlQuery[],
  options: SqlOptions,
  claims: string | undefined,
): Promise<Buffer[]> {
  const before = [startTransaction(options), ...(claims === undefined ? [] : [setClaims(claims, true)])]
  const statements = [...before, ...queries.map(toStatement), { sql: 'COMMIT', params: [] }]
  const json = new ResultJson(options.rawText)
  json.write('{"results":[')
  await connection.run(statements, sinkInto(json, queries, before.length, options))
  json.write(']}')
  return json.finish()
}

/** Results of `queries` go into the JSON; the statements before and behind them have none that anybody wants. */
function sinkInto(
  json: ResultJson,
  queries: readonly SqlQuery[],
  firstStatement: number,
  options: SqlOptions,
): ResultSink {
  const queryAt = (statement: number): SqlQuery | undefined => queries[statement - firstStatement]
  return {
    room: () => json.room,
    fields(statement, fields) {
      const query = queryAt(statement)
      if (!query) return
      if (statement > firstStatement) json.write(',')
      json.begin(fields, query.arrayMode ?? options.arrayMode)
    },
    row(statement, values) {
      if (queryAt(statement)) json.row(values)
    },
    complete(statement, tag) {
      if (queryAt(statement)) json.end(tag)
    },
    tooLong: tooLarge,
  }
}

const nothing: ResultSink = {
  room: () => longestRequest,
  fields: () => {},
  row: () => {},
  complete: () => {},
  tooLong: tooLarge,
}

function toStatement({ query, params }: SqlQuery): Statement {
  return { sql: query, params }
}

function startTransaction({ transaction }: SqlOptions): Statement {
  const modes: string[] = []
  if (transaction.isolationLevel) modes.push(`ISOLATION LEVEL ${isolationLevels[transaction.isolationLevel]}`)
  if (transaction.readOnly) modes.push('READ ONLY')
  if (transaction.deferrable) modes.push('DEFERRABLE')
  return { sql: ['START TRANSACTION', modes.join(', ')].join(' ').trim(), params: [] }
}

/** Where row-level security policies look for them. */
function setClaims(claims: string, isLocal: boolean): Statement {
  return {
    sql: "select pg_catalog.set_config('request.jwt.claims', $1, $2::text::boolean)",
    params: [claims, String(isLocal)],
  }
}

// The management API over HTTP. Every operation of the contract is routed; those without a handler answer 501.
//
// Nothing is said to strangers: a request without a valid key gets 401 before it learns whether a path or a resource exists. Every
// answer that is not a success has Neon's error form. One line is logged a request: no path as it was sent (names are the tenant's
// own), no body, no header.

import type { Socket } from 'node:net'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Control } from '../control/control.ts'
import type { Logger } from '../lib/logger.ts'
import type { Caller } from '../model/caller.ts'
import { AppError, errorChain } from '../model/errors.ts'
import { bearerKey } from './authn.ts'
import { Callers } from './callers.ts'
import { audit, type Resources } from './audit.ts'
import { withAdditions } from './contract/additions.ts'
import type { Contract, Method } from './contract/operations.ts'
import { createPathMatcher, type Match, type PathMatcher } from './contract/path-matcher.ts'
import { createValidator } from './contract/validator.ts'
import { errorAnswer } from './errors.ts'
import { askGate, type Passage } from './gate.ts'
import type { WireAnswer } from './idempotency.ts'
import { bodyLimitBytes, readJsonBodies } from './json-body.ts'
import {
  callOperation,
  ContractBroken,
  isImplemented,
  notImplemented,
  type OperationContext,
} from './operation-call.ts'
import { addMetrics } from './metrics.ts'
import { requestIdHeaders, requestIdOf } from './request-id.ts'
import { fullPath } from './short-paths.ts'

export const basePath = '/api/v2'

export type ApiServerOptions = {
  control: Control
  contract: Contract
  log: Logger
  /** Compares every answer with the contract and turns a difference into a 500 that names it: for tests. */
  checkResponses?: boolean
  /** The peer is pgrove's own edge, whose `X-Forwarded-For` can be believed. */
  behindEdge?: boolean
  /** Bounds how often a network may come without a good key. */
  limitsStrangers?: boolean
  /** A request whose body takes longer than that to arrive is asked anew who sends it, and whether he may. */
  slowBodyMs?: number
}

const usualSlowBodyMs = 1_000

const requestTimeoutMs = 60_000
/** As long as Node lets a request line be: our own matcher looks at the parts. */
const longestPath = 16_384

/** Not listening yet, so that tests may `inject` and others may add routes of their own beside the API. */
export function createApiServer(options: ApiServerOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    genReqId: requestIdOf,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: longestPath, querystringParser: () => ({}) },
    clientErrorHandler: answerUnparsable,
    // A path that cannot be decoded matches no route, so the hooks below never see it.
    frameworkErrors: (error, request, reply) => void sendError(options.log, request, reply, error),
  })
  server.decorateRequest('caller', undefined)
  server.decorateRequest('match', undefined)
  server.decorateRequest('passage', undefined)
  server.decorateRequest('made', undefined)
  server.addHook('onRequest', (request, reply, done) => {
    void reply.headers({ ...requestIdHeaders(request.id), 'x-content-type-options': 'nosniff' })
    done()
  })
  server.addHook('onResponse', (request, reply, done) => {
    logRequest(options.log, request, reply)
    done()
  })
  server.setErrorHandler(async (error, request, reply) => sendError(options.log, request, reply, error))
  server.setNotFoundHandler(async (request, reply) => sendError(options.log, request, reply, notPartOfApi()))
  const callers = new Callers(options.control, { limitsStrangers: options.limitsStrangers ?? false })
  addMetrics(server, options.control, callers, (request) => peerOf(request, options.behindEdge ?? false))
  server.register(async (api) => addApi(api, options, callers), { prefix: basePath })
  return server
}

function addApi(api: FastifyInstance, options: ApiServerOptions, callers: Callers): void {
  const { control, log } = options
  const contract = withAdditions(options.contract)
  const matcher = createPathMatcher(contract.operations)
  const context: OperationContext = {
    control,
    log,
    validator: createValidator(contract),
    checkResponses: options.checkResponses ?? false,
  }
  readJsonBodies(api)
  // Before the body is read: neither strangers nor operations that nobody has written need to receive an upload.
  api.addHook('onRequest', async (request) => {
    // What a short path leaves out says nothing about the operation's budget: it counts as a route of its own.
    const seeming = matcher.match(methodOf(request), pathOf(request))?.operation.id ?? 'other'
    const from = peerOf(request, options.behindEdge ?? false)
    request.caller = await callers.identify(request.headers.authorization, from, seeming)
    await control.rateLimits.take(request.caller, seeming)
    if (request.method === 'OPTIONS') return
    request.match = matcher.match(methodOf(request), await fullPath(control, request.caller, pathOf(request)))
    if (!request.match) throw notPartOfApi()
    request.passage = await askGate(control, request.caller, request.match)
    if (request.passage.refusal) throw request.passage.refusal
    if (!isImplemented(request.match.operation)) throw notImplemented(request.match.operation)
  })
  // A body may take a minute, and its key be revoked or its sender's role be another by then.
  api.addHook('preHandler', async (request, reply) => {
    if (!request.match || reply.elapsedTime < (options.slowBodyMs ?? usualSlowBodyMs)) return
    const from = peerOf(request, options.behindEdge ?? false)
    request.caller = await control.authenticate(bearerKey(request.headers.authorization) ?? '', from)
    request.passage = await askGate(control, request.caller, request.match)
    if (request.passage.refusal) throw request.passage.refusal
  })
  // Not when the answer has arrived: whoever hangs up before that has done it all the same.
  api.addHook('onSend', (request, reply, payload, done) => {
    const { id, caller, match, passage, body, made } = request
    if (caller && match && passage) {
      const peer = peerOf(request, options.behindEdge ?? false)
      audit(control, { id, caller, match, passage, body, made, status: reply.statusCode, peer })
    }
    done(null, payload)
  })
  api.setNotFoundHandler(async (request, reply) => sendError(log, request, reply, notPartOfApi()))
  api.route({
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: '/*',
    handler: async (request, reply) => {
      if (request.method === 'OPTIONS') return await sendMethods(reply, matcher, pathOf(request))
      const { caller, match, headers } = request
      if (!caller || !match)
        throw new AppError('internal', 'a request reached its handler without a caller or an operation')
      const answer = await callOperation(context, {
        ...match,
        caller,
        url: request.url,
        body: request.body,
        userAgent: headers['user-agent'],
        idempotencyKey: headers['idempotency-key'],
      })
      request.made = answer.made
      return await sendAnswer(reply, answer)
    },
  })
}

function methodOf(request: FastifyRequest): Method {
  return (request.method === 'HEAD' ? 'GET' : request.method) as Method
}

function pathOf(request: FastifyRequest): string {
  const end = request.url.indexOf('?')
  return request.url.slice(basePath.length, end === -1 ? undefined : end)
}

/** Only the edge's last word counts: what stands before it, the client may have written. */
function peerOf(request: FastifyRequest, behindEdge: boolean): string {
  const forwarded = request.headers['x-forwarded-for']
  if (behindEdge && typeof forwarded === 'string') return forwarded.split(',').at(-1)?.trim().slice(0, 64) ?? ''
  return request.socket.remoteAddress ?? ''
}

function notPartOfApi(): AppError {
  return new AppError('not_found', 'this method and path are no part of the API')
}

/** There is no CORS: the API is for programs that hold a key. */
async function sendMethods(reply: FastifyReply, matcher: PathMatcher, path: string): Promise<FastifyReply> {
  const methods = matcher.methodsOf(path)
  if (methods.length === 0) throw notPartOfApi()
  const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ')
  return await reply.status(204).header('allow', allow).send()
}

async function sendAnswer(reply: FastifyReply, answer: WireAnswer & { replayed: boolean }): Promise<FastifyReply> {
  void reply.status(answer.status)
  if (answer.replayed) void reply.header('idempotency-replayed', 'true')
  if (answer.body === '') return await reply.send()
  return await reply.header('content-type', 'application/json').send(answer.body)
}

function sendError(log: Logger, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const answer = errorAnswer(error, request.id)
  if (answer.status >= 500 && answer.status !== 501) {
    log.error(
      { requestId: request.id, operationId: request.match?.operation.id, error: errorChain(error) },
      'request failed',
    )
  }
  // Nothing of ours is secret to a test.
  const body = error instanceof ContractBroken ? { ...answer.body, message: error.message } : answer.body
  void reply.status(answer.status).headers(requestIdHeaders(request.id))
  if (answer.retryAfterSeconds !== undefined)
    void reply.header('retry-after', String(Math.ceil(answer.retryAfterSeconds)))
  if (answer.status === 401) void reply.header('www-authenticate', 'Bearer')
  // Fastify closes after any body it could not use. One that came to its end leaves nothing behind on the connection, and to close it
  // would cut off whoever is still finishing his request.
  if (request.raw.readableEnded) void reply.removeHeader('connection')
  return reply.header('content-type', 'application/json').send(JSON.stringify(body))
}

function logRequest(log: Logger, request: FastifyRequest, reply: FastifyReply): void {
  const operation = request.match?.operation
  log.info(
    {
      requestId: request.id,
      method: request.method,
      route: operation?.path ?? 'none',
      operationId: operation?.id,
      userId: request.caller?.userId,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime * 10) / 10,
    },
    'request',
  )
}

/** What Node's HTTP parser refuses never becomes a request; it is answered on the bare socket. */
function answerUnparsable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, message] = refusalOf(error.code)
  const body = JSON.stringify({ code: '', message })
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

function refusalOf(code: string | undefined): [status: string, message: string] {
  if (code === 'HPE_HEADER_OVERFLOW') return ['431 Request Header Fields Too Large', 'request headers are too large']
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return ['408 Request Timeout', 'the request took too long to arrive']
  return ['400 Bad Request', 'invalid request: malformed HTTP request']
}

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | undefined
    match: Match | undefined
    passage: Passage | undefined
    made: Resources | undefined
  }
}

// The management API over HTTP. Every operation of the contract has a route; those without a handler answer 501.
//
// Nothing is said to strangers: a request without a valid key gets 401 before it learns whether a path or a resource exists. Every
// answer that is not a success has Neon's error form. One line is logged a request: no path as it was sent (names are the tenant's
// own), no body, no header.

import { chmod, chown, lstat, rename, rm } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Control } from '../control/control.ts'
import type { Logger } from '../lib/logger.ts'
import { AppError, errorChain } from '../model/errors.ts'
import { authenticate } from './authn.ts'
import type { Contract, ContractOperation } from './contract/operations.ts'
import { createValidator } from './contract/validator.ts'
import { errorAnswer } from './errors.ts'
import { handlers } from './handlers.ts'
import { bodyLimitBytes, readJsonBodies } from './json-body.ts'
import { addOperation, ContractBroken, toRoutePath, type OperationHandler, type RouteContext } from './operation-route.ts'
import { requestIdHeaders, requestIdOf } from './request-id.ts'

export const basePath = '/api/v2'

export type ApiServerOptions = {
  control: Control
  contract: Contract
  log: Logger
  /** Compares every answer with the contract and turns a difference into a 500 that names it: for tests. */
  checkResponses?: boolean
  /** The peer is pgrove's own edge, whose `X-Forwarded-For` can be believed. */
  behindEdge?: boolean
}

/** Longer than a name of 63 four-byte characters, each byte percent-encoded. */
const longestPathPart = 1024
const requestTimeoutMs = 60_000
const closingTimeoutMs = 10_000

/** Not listening yet, so that tests may `inject` and others may add routes of their own beside the API. */
export function createApiServer(options: ApiServerOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    genReqId: requestIdOf,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: longestPathPart, querystringParser: () => ({}) },
    clientErrorHandler: answerUnparsable,
    // A path that cannot be decoded matches no route, so the hooks below never see it.
    frameworkErrors: (error, request, reply) => void sendError(options.log, request, reply, error),
  })
  server.decorateRequest('caller', undefined)
  server.addHook('onRequest', (request, reply, done) => {
    void reply.headers({ ...requestIdHeaders(request.id), 'x-content-type-options': 'nosniff' })
    done()
  })
  server.addHook('onResponse', (request, reply, done) => {
    logRequest(options.log, request, reply)
    done()
  })
  server.setErrorHandler(async (error, request, reply) => sendError(options.log, request, reply, error))
  server.setNotFoundHandler(async (request, reply) => sendError(options.log, request, reply, routeNotFound()))
  server.register(async (api) => addApi(api, options), { prefix: basePath })
  return server
}

function addApi(api: FastifyInstance, options: ApiServerOptions): void {
  const context: RouteContext = {
    control: options.control,
    validator: createValidator(options.contract),
    log: options.log,
    checkResponses: options.checkResponses ?? false,
  }
  readJsonBodies(api)
  api.addHook('onRequest', async (request) => {
    const from = peerOf(request, options.behindEdge ?? false)
    request.caller = await authenticate(options.control, request.headers.authorization, from)
  })
  api.setNotFoundHandler(async (request, reply) => sendError(options.log, request, reply, routeNotFound()))
  for (const operation of options.contract.operations) addOperation(api, context, operation, handlerOf(operation.id))
  addAllowedMethods(api, options.contract.operations)
}

function handlerOf(operationId: string): OperationHandler | undefined {
  return Object.hasOwn(handlers, operationId) ? (handlers as Readonly<Record<string, OperationHandler>>)[operationId] : undefined
}

/** `OPTIONS` says which methods a path has. There is no CORS: the API is for programs that hold a key. */
function addAllowedMethods(api: FastifyInstance, operations: readonly ContractOperation[]): void {
  const byPath = Map.groupBy(operations, (operation) => toRoutePath(operation.path))
  for (const [url, here] of byPath) {
    const methods = here.map((operation) => operation.method)
    const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ')
    api.options(url, async (_, reply) => reply.status(204).header('allow', allow).send())
  }
}

/** Only the edge's last word counts: what stands before it, the client may have written. */
function peerOf(request: FastifyRequest, behindEdge: boolean): string {
  const forwarded = request.headers['x-forwarded-for']
  if (behindEdge && typeof forwarded === 'string') return forwarded.split(',').at(-1)?.trim().slice(0, 64) ?? ''
  return request.socket.remoteAddress ?? ''
}

function routeNotFound(): AppError {
  return new AppError('not_found', 'this method and path are no part of the API')
}

function sendError(log: Logger, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  const answer = errorAnswer(error, request.id)
  if (answer.status >= 500 && answer.status !== 501) {
    log.error({ requestId: request.id, operationId: request.routeOptions.config.operationId, error: errorChain(error) }, 'request failed')
  }
  // Nothing of ours is secret to a test.
  const body = error instanceof ContractBroken ? { ...answer.body, message: error.message } : answer.body
  void reply.status(answer.status).headers(requestIdHeaders(request.id))
  if (answer.retryAfterSeconds !== undefined) void reply.header('retry-after', String(Math.ceil(answer.retryAfterSeconds)))
  if (answer.status === 401) void reply.header('www-authenticate', 'Bearer')
  return reply.header('content-type', 'application/json').send(JSON.stringify(body))
}

function logRequest(log: Logger, request: FastifyRequest, reply: FastifyReply): void {
  const { url, config } = request.routeOptions
  log.info(
    {
      requestId: request.id,
      method: request.method,
      route: url ?? 'none',
      operationId: config.operationId,
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
  const [status, message] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'request headers are too large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'the request took too long to arrive']
        : ['400 Bad Request', 'invalid request: malformed HTTP request']
  const body = JSON.stringify({ code: '', message })
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

export type Listen = { socketPath: string; mode: number; gid?: number | undefined } | { host: string; port: number }

export type ListeningServer = {
  /** The socket's path, or `http://host:port`. */
  address: string
  /** Answers what has been asked, for ten seconds at most, and takes no more. */
  close(): Promise<void>
}

export async function listen(server: FastifyInstance, where: Listen): Promise<ListeningServer> {
  if ('host' in where) {
    await server.listen({ host: where.host, port: where.port })
    const { address, port, family } = server.server.address() as AddressInfo
    return { address: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`, close: () => close(server) }
  }
  const { socketPath, mode, gid } = where
  // Bound under another name and moved into place once its mode is right: nobody can connect in between, and what a killed
  // predecessor left behind is replaced.
  const draft = `${socketPath}.${process.pid}.draft`
  await rm(draft, { force: true })
  await server.listen({ path: draft })
  await chmod(draft, mode)
  if (gid !== undefined) await chown(draft, -1, gid)
  const { ino } = await lstat(draft)
  await rename(draft, socketPath)
  return {
    address: socketPath,
    async close() {
      await close(server)
      const there = await lstat(socketPath).catch(() => undefined)
      // By now another process may serve here under the same name.
      if (there?.ino === ino) await rm(socketPath, { force: true })
    },
  }
}

async function close(server: FastifyInstance): Promise<void> {
  const impatience = setTimeout(() => server.server.closeAllConnections(), closingTimeoutMs)
  try {
    await server.close()
  } finally {
    clearTimeout(impatience)
  }
}

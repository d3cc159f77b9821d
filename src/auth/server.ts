// Sign-in over HTTP, behind the edge: which integration a request is for, and which surface answers it.
//
// Strangers talk to this. A request has a bound in size and time, and what is still unanswered then is given up. The log says which route
// was asked for and what came of it, never a value: paths carry tokens, queries codes, bodies passwords.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Logger } from '../lib/logger.ts'
import { AppError, errorChain, isAppError } from '../model/errors.ts'
import { serviceRouteOf, type ServiceRoute } from '../model/service-routes.ts'
import { errorResponse } from './errors.ts'
import type { AuthInstance, AuthRequest, FindInstance } from './instance.ts'
import type { Instances } from './instances.ts'
import { readBody, toRequest, writeResponse } from './node-http.ts'
import { routePattern } from './route-pattern.ts'

export type AuthServerOptions = {
  instances: Instances
  /** Base domains of endpoint hosts, lower case. */
  domains: readonly string[]
  surfaces: Surfaces
  logger: Logger
}

export type Surfaces = {
  betterAuth(instance: AuthInstance, request: AuthRequest): Promise<Response>
  /** Finds its integration itself: headers, paths and queries name it in ways of its own. */
  stack(services: { findInstance: FindInstance; logger: Logger }, request: AuthRequest): Promise<Response>
}

export async function loadSurfaces(): Promise<Surfaces> {
  const [{ handleBetterAuth }, { handleStack }] = await Promise.all([
    import('./better-auth/handler.ts'),
    import('./stack/router.ts'),
  ])
  return { betterAuth: handleBetterAuth, stack: handleStack }
}

/** As many bodies may lie in memory at once. */
const mostRequests = 500
const requestTimeoutMs = 60_000
/** Of a surface that has no host of its own; nothing is to be made of it. */
const stackOrigin = 'http://stack.invalid'

export function createAuthServer(options: AuthServerOptions): Server {
  let atWork = 0
  const server = createServer(
    {
      maxHeaderSize: 32_768,
      headersTimeout: 15_000,
      requestTimeout: 30_000,
      keepAliveTimeout: 65_000,
      insecureHTTPParser: false,
    },
    (incoming, outgoing) => {
      const began = performance.now()
      const route = routeOf(incoming, options.domains)
      atWork++
      outgoing.on('close', () => {
        atWork--
        log(options.logger, { incoming, outgoing, route, ms: Math.round(performance.now() - began) })
      })
      const work = atWork > mostRequests ? Promise.reject(overload()) : serve(options, incoming, outgoing, route)
      work
        .catch((error: unknown) => {
          if (!isAppError(error))
            options.logger.error({ ...(route && fieldsOf(route)), cause: stackOf(error) }, 'request failed')
          return errorResponse(error)
        })
        .then((response) => writeResponse(outgoing, response))
        .catch(() => outgoing.destroy())
    },
  )
  server.on('clientError', (_error, socket) => socket.destroy())
  return server
}

async function serve(
  options: AuthServerOptions,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  route: ServiceRoute | undefined,
): Promise<Response> {
  if (!route || route.surface === 'none') throw new AppError('not_found', 'there is nothing here')
  const timer = new AbortController()
  const timeout = setTimeout(() => timer.abort(), requestTimeoutMs)
  outgoing.on('close', () => timer.abort())
  const answer = answerOf(options, incoming, route, timer.signal)
  try {
    return await Promise.race([answer, aborted(timer.signal)])
  } finally {
    clearTimeout(timeout)
  }
}

async function answerOf(
  { instances, surfaces, logger }: AuthServerOptions,
  incoming: IncomingMessage,
  route: Exclude<ServiceRoute, { surface: 'none' }>,
  signal: AbortSignal,
): Promise<Response> {
  if (route.surface === 'stack') {
    const request = toAuthRequest(incoming, stackOrigin + '/api/v1', route.path, await readBody(incoming), signal)
    return await surfaces.stack({ findInstance: (name) => instances.find(name), logger }, request)
  }
  const { endpointId, database } = route
  const instance = await instances.find({ kind: 'endpoint', endpointId, database })
  if (!instance) throw new AppError('not_found', 'no sign-in is set up for this database')
  const request = toAuthRequest(incoming, instance.target.baseUrl, route.path, await readBody(incoming), signal)
  return await surfaces.betterAuth(instance, request)
}

function toAuthRequest(
  incoming: IncomingMessage,
  root: string,
  path: string,
  body: Buffer | undefined,
  signal: AbortSignal,
): AuthRequest {
  // The edge says who the client is, and it alone can reach us.
  const clientAddress = String(incoming.headers['x-forwarded-for'] ?? '')
  return { path, request: toRequest(incoming, root + path, body, signal), clientAddress }
}

function routeOf({ headers, url = '/' }: IncomingMessage, domains: readonly string[]): ServiceRoute | undefined {
  const said = headers['x-forwarded-host'] ?? headers.host
  return serviceRouteOf(typeof said === 'string' ? said : undefined, url, domains)
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () =>
      reject(new AppError('unavailable', 'the request took too long; try again', { retryAfterSeconds: 1 })),
    )
  })
}

const overload = (): AppError =>
  new AppError('unavailable', 'too many requests at once; try again shortly', { retryAfterSeconds: 1 })

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? '') : errorChain(error))

function fieldsOf(route: ServiceRoute): Record<string, string> {
  if (route.surface === 'none') return { surface: 'none' }
  const fields = { surface: route.surface, route: routePattern(route.path) }
  return route.surface === 'better_auth' ? { ...fields, endpoint: route.endpointId } : fields
}

function log(
  logger: Logger,
  entry: { incoming: IncomingMessage; outgoing: ServerResponse; route: ServiceRoute | undefined; ms: number },
): void {
  const { incoming, outgoing, route, ms } = entry
  // Given up by the client before there was an answer.
  const status = outgoing.headersSent ? outgoing.statusCode : 499
  logger.info({ ...(route && fieldsOf(route)), method: incoming.method, status, ms }, 'request')
}

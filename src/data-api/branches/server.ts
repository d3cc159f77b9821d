// The Data APIs of all branches over HTTP, behind the edge: which database a request is for, whether it may come from where it comes from, and
// what it has sent and received.
//
// Strangers talk to this. The log says which endpoint was asked and what came of it, never a path, a value or a token.

import type { Server } from 'node:http'
import { isAllowed, isPrivate } from '../../lib/allow-list.ts'
import { errorAnswer } from '../../lib/error-answer.ts'
import type { Logger } from '../../lib/logger.ts'
import type { DataApiTarget } from '../../model/data-api-target.ts'
import { errorChain, isAppError } from '../../model/errors.ts'
import { serviceRouteOf } from '../../model/service-routes.ts'
import { createHttpServer, refusal } from '../http-server.ts'
import type { HttpRequest } from '../request/request.ts'
import type { HttpAnswer } from '../response/answer.ts'
import { corsHeaders, preflightAnswer } from '../response/inspect.ts'
import type { Activity } from './activity.ts'
import type { Instance, Instances } from './instances.ts'
import { longestAnswerBytes, longestBodyBytes, mostBodyBytes, mostRequests, tooLongAnswer } from './limits.ts'

export type DataApiServerOptions = {
  instances: Pick<Instances, 'use'>
  activity: Pick<Activity, 'note'>
  /** Base domains of endpoint hosts, lower case. */
  domains: readonly string[]
  logger: Logger
}

/** Neon's, beside the root. */
const descriptionPath = '/openapi.json'

export function createDataApiServer(options: DataApiServerOptions): Server {
  let atWork = 0
  return createHttpServer({
    longestBodyBytes,
    mostBodyBytes,
    server: { maxHeaderSize: 65_536, headersTimeout: 15_000, requestTimeout: 60_000, keepAliveTimeout: 65_000 },
    async handle(request) {
      if (atWork >= mostRequests) return refusal(503, 'too many requests at once; try again')
      atWork++
      try {
        return await answerOf(options, request)
      } catch (error) {
        return failed(options.logger, request, error)
      } finally {
        atWork--
      }
    },
  })
}

async function answerOf(options: DataApiServerOptions, request: HttpRequest): Promise<HttpAnswer> {
  const { instances, activity, domains, logger } = options
  const began = performance.now()
  const { headers, method } = request
  const route = serviceRouteOf(headers['x-forwarded-host'] ?? headers['host'], request.target, domains)
  if (route?.surface !== 'rest') return forPages(refusal(404, 'there is nothing here'), request)
  const { endpointId, database, path } = route
  const answer = await instances.use({ endpointId, database }, ({ target, engine }) =>
    answerFrom({ target, engine }, { ...request, target: path === descriptionPath ? '/' : path }),
  )
  if (!answer) {
    // Who asks first whether he may ask hears why he may not.
    const preflight = preflightAnswer(method, headers, undefined)
    return preflight ?? forPages(refusal(404, 'the Data API is not enabled for this database'), request)
  }
  activity.note(endpointId, { toClient: sizeOf(answer), fromClient: request.target.length + request.body.length })
  const ms = Math.round(performance.now() - began)
  logger.info({ endpoint: endpointId, method, status: answer.status, ms }, 'request')
  return answer
}

async function answerFrom({ target, engine }: Instance, request: HttpRequest): Promise<HttpAnswer> {
  const refused = refusalOf(target, request.headers['x-forwarded-for'])
  if (refused) return forPages(refused, request)
  const first = await engine.handle(request)
  // A compute that goes to sleep just then takes the connection along. What only reads is asked again.
  const answer = isLost(first) && isRead(request) ? await engine.handle(request) : first
  if (sizeOf(answer) <= longestAnswerBytes) return answer
  return forPages(refusal(413, tooLongAnswer), request)
}

/** `address`: the edge says who the client is, and it alone can reach us. */
function refusalOf({ allowedIps, publicBlocked }: DataApiTarget, address: string | undefined): HttpAnswer | undefined {
  if (publicBlocked && !isPrivate(address)) return refusal(403, 'this project takes no connections from the internet')
  if (allowedIps && !isAllowed(address, allowedIps))
    return refusal(403, 'this IP address is not allowed to connect to this project')
  return undefined
}

function failed(logger: Logger, request: HttpRequest, error: unknown): HttpAnswer {
  if (!isAppError(error)) logger.error({ cause: errorChain(error) }, 'a request failed')
  const { status, message } = errorAnswer(error)
  return forPages(refusal(status, message), request)
}

/** A page of another origin reads it too. */
function forPages(answer: HttpAnswer, { headers }: HttpRequest): HttpAnswer {
  return { ...answer, headers: [...answer.headers, ...corsHeaders(headers['origin'], undefined)] }
}

const isRead = ({ method }: HttpRequest): boolean => method === 'GET' || method === 'HEAD'

const isLost = ({ status, headers }: HttpAnswer): boolean =>
  status === 503 && headers.some(([name, value]) => name === 'Proxy-Status' && /error=(?:PGRST001|57P01)$/.test(value))

const sizeOf = ({ body }: HttpAnswer): number => Buffer.byteLength(body)

// The REST surface of Stack: `/api/v1`.
//
// In this order, each decided before the next is looked at: which project is named, whether the keys are that project's and may do what the
// route does, how often this address has asked, and only then the body, the session and the database.

import { errorChain, isAppError } from '../../model/errors.ts'
import type { AuthInstance, AuthRequest } from '../instance.ts'
import { noteUse, type SignedIn } from '../store/sessions.ts'
import { sqlState, type Call, type Route, type StackServices } from './call.ts'
import { checkKeys, overridesErrorStatus, projectNotFound, readHeaders, type RequestHeaders } from './callers.ts'
import { connectedAccountRoutes } from './connected-accounts.ts'
import { contactChannelRoutes } from './contact-channels.ts'
import { fromAppError, known, plain, schemaError, StackError } from './errors.ts'
import { assertStorable, isUuid, longestBody, type Fields } from './fields.ts'
import { authorize, callback, clientOf } from './oauth.ts'
import { redeemCode } from './oauth-token.ts'
import { otpRoutes } from './otp.ts'
import { passwordRoutes } from './passwords.ts'
import { jwksReply, projectRoutes } from './projects.ts'
import { errorReply, jsonReply, preflightReply } from './replies.ts'
import { refreshGrant, sessionRoutes } from './sessions.ts'
import { teamInvitationRoutes } from './team-invitations.ts'
import { teamMemberRoutes } from './team-members.ts'
import { teamPermissionRoutes } from './team-permissions.ts'
import { teamRoutes } from './teams.ts'
import { readAccessToken } from './tokens.ts'
import { unbuiltRoutes } from './unbuilt.ts'
import { userRoutes } from './users.ts'

export const routes: readonly Route[] = [
  ...passwordRoutes,
  ...otpRoutes,
  ...sessionRoutes,
  ...userRoutes,
  ...contactChannelRoutes,
  ...teamRoutes,
  ...teamMemberRoutes,
  ...teamPermissionRoutes,
  ...teamInvitationRoutes,
  ...connectedAccountRoutes,
  ...projectRoutes,
  ...unbuiltRoutes,
]

const byLength = Map.groupBy(
  routes.map((route) => ({ route, segments: route.path.split('/') })),
  ({ segments }) => segments.length,
)

export async function handleStack(services: StackServices, request: AuthRequest): Promise<Response> {
  const { headers, method } = request.request
  if (method === 'OPTIONS') return preflightReply()
  try {
    return await answer(services, request)
  } catch (error) {
    const refusal = toStackError(error)
    // Told here, so that a page hears of it as well: without our headers its browser would not show it.
    if (!refusal) services.logger.error({ surface: 'stack', cause: stackOf(error) }, 'request failed')
    return errorReply(
      refusal ?? plain(500, 'something went wrong here; it is in the log'),
      overridesErrorStatus(headers),
    )
  }
}

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? '') : errorChain(error))

/** Undefined: a defect of ours. */
function toStackError(error: unknown): StackError | undefined {
  if (error instanceof StackError) return error
  if (isAppError(error)) return fromAppError(error)
  // A bound of the tables, or something that a row refers to went away meanwhile.
  if (sqlState(error) === '23514') return schemaError('one of the values is too large')
  if (sqlState(error) === '23503') return plain(409, 'what this refers to has been removed meanwhile')
  return undefined
}

async function answer(services: StackServices, request: AuthRequest): Promise<Response> {
  const url = new URL(request.path, 'http://stack.invalid')
  const segments = url.pathname.replace(/\/$/, '').split('/')
  const method = request.request.method
  const [, first, second, third, ...rest] = segments
  if (method === 'GET' && first === 'projects' && third === '.well-known' && rest.join('/') === 'jwks.json')
    return jwksReply((await findProject(services, second ?? '')).target)
  if (method === 'POST' && url.pathname === '/auth/oauth/token') return await token(services, request)
  // Browsers come here by themselves: without headers of ours.
  if (first === 'auth' && second === 'oauth' && segments.length === 5 && (method === 'GET' || method === 'POST')) {
    if (third === 'authorize' && method === 'GET') return await authorize(services, request, rest[0] ?? '')
    if (third === 'callback') return await callback(services, request, rest[0] ?? '')
  }
  const match = findRoute(method, segments)
  if (!match) throw plain(404, 'there is no such route here')
  const reply = await match.route.handle(await toCall(services, request, url, match))
  return jsonReply(reply?.status ?? 200, reply === undefined ? { success: true } : reply.body)
}

type Match = { route: Route; params: Record<string, string> }

function findRoute(method: string, segments: readonly string[]): Match | undefined {
  for (const { route, segments: pattern } of byLength.get(segments.length) ?? []) {
    if (route.method !== method) continue
    const params = matchOf(pattern, segments)
    if (params) return { route, params }
  }
  return undefined
}

function matchOf(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {}
  for (const [at, word] of pattern.entries()) {
    const segment = segments[at] ?? ''
    if (!word.startsWith(':')) {
      if (word !== segment) return undefined
    } else if (segment === '') return undefined
    else params[word.slice(1)] = decoded(segment)
  }
  return params
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw schemaError('the path is not well-formed')
  }
}

async function findProject(services: StackServices, id: string): Promise<AuthInstance> {
  const instance = isUuid(id) ? await services.findInstance({ kind: 'project', id: id.toLowerCase() }) : undefined
  // Its users are the same; this door to them is not open.
  if (!instance || instance.target.provider === 'better_auth') throw projectNotFound(id)
  return instance
}

async function toCall(
  services: StackServices,
  request: AuthRequest,
  url: URL,
  { route, params }: Match,
): Promise<Call> {
  const { request: http, clientAddress } = request
  const headers = readHeaders(http.headers)
  const instance = await findProject(services, headers.projectId)
  checkKeys(instance.target, headers)
  if (route.access === 'server' && headers.access !== 'server')
    throw known('INSUFFICIENT_ACCESS_TYPE', "this needs x-stack-access-type: server, and the project's secret key", {
      actual_access_type: headers.access,
      allowed_access_types: ['server', 'admin'],
    })
  // A server's requests come from one address for all of an app's users.
  if (headers.access === 'client')
    instance.limits.take(
      instance.target.integrationId,
      route.kind ?? (route.method === 'GET' ? 'read' : 'write'),
      clientAddress,
    )
  for (const value of [...Object.values(params), ...url.searchParams.values()]) assertStorable(value)
  const body = await readBody(http)
  return {
    instance,
    logger: services.logger,
    access: headers.access,
    signedIn: await readSession(instance, headers),
    refreshToken: headers.refreshToken,
    params,
    query: url.searchParams,
    body,
    clientAddress,
    userAgent: http.headers.get('user-agent'),
  }
}

async function readSession(instance: AuthInstance, { accessToken }: RequestHeaders): Promise<SignedIn | undefined> {
  if (accessToken === undefined) return undefined
  const signedIn = await readAccessToken(instance.target, instance.database, accessToken)
  await noteUse(instance.database, signedIn)
  return signedIn
}

async function readBody(http: Request): Promise<Fields> {
  const text = await readText(http)
  if (text.trim() === '') return {}
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw known('BODY_PARSING_ERROR', 'the body is not JSON')
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw schemaError('the body must be an object')
  assertStorable(body)
  return body as Fields
}

async function readText(http: Request): Promise<string> {
  const bytes = http.body === null ? new ArrayBuffer(0) : await http.arrayBuffer()
  if (bytes.byteLength > longestBody) throw plain(413, `a body may have ${longestBody} bytes`)
  return Buffer.from(bytes).toString()
}

/** OAuth's own form of it: keys come in the body, and there are no headers of ours. */
async function token(services: StackServices, request: AuthRequest): Promise<Response> {
  const form = new URLSearchParams(await readText(request.request))
  for (const value of form.values()) assertStorable(value)
  const instance = await clientOf(services, form.get('client_id'), form.get('client_secret'))
  const grant = form.get('grant_type')
  instance.limits.take(
    instance.target.integrationId,
    grant === 'refresh_token' ? 'read' : 'sign_in',
    request.clientAddress,
  )
  if (grant === 'refresh_token') return jsonReply(200, await refreshGrant(instance, form))
  if (grant !== 'authorization_code') throw schemaError("grant_type must be 'refresh_token' or 'authorization_code'")
  const { clientAddress } = request
  const userAgent = request.request.headers.get('user-agent')
  return jsonReply(200, await redeemCode({ instance, clientAddress, userAgent }, form))
}

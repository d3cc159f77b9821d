// Who is asking: which project a request names, with which keys, and as whom.
//
// A publishable key is in every page of an app, and says only which app this is. The secret key may do everything to its users, so it is
// believed from servers alone. Whatever a request carries has to belong to the one project it names; one thing that does not, and the
// whole request is refused.

import { createHash, timingSafeEqual } from 'node:crypto'
import type { AuthTarget } from '../../model/auth-target.ts'
import { known, schemaError } from './errors.ts'
import { isUuid } from './fields.ts'

export type Access = 'client' | 'server'

export type RequestHeaders = {
  projectId: string
  /** As it was claimed; not yet allowed. */
  access: Access
  publishableKey: string | undefined
  secretKey: string | undefined
  accessToken: string | undefined
  refreshToken: string | undefined
  /** Only browsers send what says so. */
  isFromBrowser: boolean
}

/** A header by either of its prefixes. Two that differ would let whoever stands between us and the caller read one, and us the other. */
export function stackHeader(headers: Headers, name: string): string | undefined {
  const older = headers.get(`x-stack-${name}`)
  const newer = headers.get(`x-hexclave-${name}`)
  if (older !== null && newer !== null && older !== newer)
    throw schemaError(`x-stack-${name} and x-hexclave-${name} must not differ`)
  return (older ?? newer)?.trim() || undefined
}

export function overridesErrorStatus(headers: Headers): boolean {
  return (headers.get('x-stack-override-error-status') ?? headers.get('x-hexclave-override-error-status')) === 'true'
}

export function readHeaders(headers: Headers): RequestHeaders {
  const claimed = stackHeader(headers, 'access-type')
  const projectId = stackHeader(headers, 'project-id')
  const publishableKey = stackHeader(headers, 'publishable-client-key')
  const secretKey = stackHeader(headers, 'secret-server-key')
  const adminKey = stackHeader(headers, 'super-secret-admin-key') ?? stackHeader(headers, 'admin-access-token')
  if (claimed === undefined) {
    if (publishableKey !== undefined || secretKey !== undefined || adminKey !== undefined)
      throw known('PROJECT_KEY_WITHOUT_ACCESS_TYPE', 'a key was given without the header x-stack-access-type')
    throw known(
      'ACCESS_TYPE_REQUIRED',
      "the header x-stack-access-type must be 'client' or 'server', beside the project's keys",
    )
  }
  if (claimed !== 'client' && claimed !== 'server' && claimed !== 'admin')
    throw known('INVALID_ACCESS_TYPE', "the header x-stack-access-type must be 'client' or 'server'", {
      request_type: claimed,
    })
  if (projectId === undefined)
    throw known('ACCESS_TYPE_WITHOUT_PROJECT_ID', 'the header x-stack-project-id is missing', { request_type: claimed })
  if (!isUuid(projectId)) throw projectNotFound(projectId)
  if (claimed === 'admin' || adminKey !== undefined)
    throw known(
      'INVALID_SUPER_SECRET_ADMIN_KEY',
      'there are no admin keys here: a project is managed through its API',
      {
        project_id: projectId,
      },
    )
  return {
    projectId: projectId.toLowerCase(),
    access: claimed,
    publishableKey,
    secretKey,
    accessToken: stackHeader(headers, 'access-token'),
    refreshToken: stackHeader(headers, 'refresh-token'),
    // Fetch of Node sends Sec-Fetch-Mode as well; where a request comes from is said by browsers alone.
    isFromBrowser: headers.has('origin') || headers.has('sec-fetch-site'),
  }
}

export const projectNotFound = (id: string): Error =>
  known('CURRENT_PROJECT_NOT_FOUND', `there is no project ${id.slice(0, 64)} here`, { project_id: id.slice(0, 64) })

type Keys = Pick<AuthTarget, 'integrationId' | 'keys'>

/** Throws where a key is missing, wrong or where it must not be. */
export function checkKeys(target: Keys, headers: RequestHeaders): void {
  const details = { project_id: target.integrationId }
  if (headers.secretKey !== undefined) {
    if (headers.isFromBrowser)
      throw known(
        'INVALID_SECRET_SERVER_KEY',
        'the secret server key must not be used in browsers: whoever opens the page can read it',
        details,
      )
    if (!hasKey(target, 'secret', headers.secretKey))
      throw known('INVALID_SECRET_SERVER_KEY', 'the secret server key is not valid for this project', details)
  }
  if (headers.publishableKey !== undefined && !hasKey(target, 'publishable', headers.publishableKey))
    throw known('INVALID_PUBLISHABLE_CLIENT_KEY', 'the publishable client key is not valid for this project', details)
  if (headers.access === 'server' && headers.secretKey === undefined)
    throw known('SERVER_AUTHENTICATION_REQUIRED', 'the secret server key is missing')
  if (headers.access === 'client' && headers.publishableKey === undefined && headers.secretKey === undefined)
    throw known('CLIENT_AUTHENTICATION_REQUIRED', 'the publishable client key is missing')
}

/** All are compared, and each in the same time. */
export function hasKey(target: Keys, kind: 'publishable' | 'secret', key: string): boolean {
  const given = createHash('sha256').update(key).digest()
  let found = false
  for (const one of target.keys) {
    if (one.kind !== kind) continue
    const kept = Buffer.from(one.sha256, 'hex')
    if (kept.length === given.length && timingSafeEqual(kept, given)) found = true
  }
  return found
}

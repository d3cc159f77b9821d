// What a route is, and what it is handed.

import type { AuthInstance, FindInstance } from '../instance.ts'
import type { SignedIn } from '../store/sessions.ts'
import type { StoredUser } from '../store/users.ts'
import type { Logger } from '../../lib/logger.ts'
import type { Access } from './callers.ts'
import { known, schemaError } from './errors.ts'
import { isUuid, type Fields } from './fields.ts'
import type { RequestKind } from '../limits.ts'

export type StackServices = {
  findInstance: FindInstance
  logger: Logger
}

export type Call = {
  instance: AuthInstance
  logger: Logger
  access: Access
  /** Undefined: nobody is signed in, or who was is no more. */
  signedIn: SignedIn | undefined
  refreshToken: string | undefined
  params: Readonly<Record<string, string>>
  query: URLSearchParams
  body: Fields
  clientAddress: string
  userAgent: string | null
}

export type Route = {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** `/users/:user`: a name stands for one segment. */
  path: string
  /** `server`: with the secret key. `client`: with either. */
  access: Access
  /** What it counts as for an address; undefined: `read` for a GET, else `write`. */
  kind?: RequestKind
  /** Undefined: `{success: true}`. */
  handle(call: Call): Promise<Reply | undefined>
}

export type Reply = { status?: number; body: unknown }

export const reply = (body: unknown, status = 200): Reply => ({ status, body })

export const page = (items: unknown[]): Reply => reply({ items, is_paginated: false })

export function signedIn(call: Call): SignedIn {
  if (!call.signedIn)
    throw known('USER_AUTHENTICATION_REQUIRED', 'somebody has to be signed in for this: the access token is missing')
  return call.signedIn
}

export const isServer = (call: Call): boolean => call.access === 'server'

/** `me`, or an id: a client may name itself alone. Says nothing of whether there is such a user. */
export function userIdOf(call: Call, given: string | null | undefined): string {
  if (given === 'me') {
    if (!call.signedIn)
      throw known(
        'CANNOT_GET_OWN_USER_WITHOUT_USER',
        "'me' was named, and nobody is signed in: the access token is missing",
      )
    return call.signedIn.user.id
  }
  const id = given?.toLowerCase()
  if (id === undefined || id === '') throw schemaError('user_id is required')
  if (!isServer(call) && id !== signedIn(call).user.id)
    throw known(
      'INSUFFICIENT_ACCESS_TYPE',
      "other users are for the secret server key: clients name themselves, as 'me'",
      {
        actual_access_type: 'client',
        allowed_access_types: ['server', 'admin'],
      },
    )
  if (!isUuid(id)) throw userNotFound()
  return id
}

export const userNotFound = (): Error => known('USER_NOT_FOUND', 'user not found')

export function found(user: StoredUser | undefined): StoredUser {
  if (!user) throw userNotFound()
  return user
}

/** Where a row that another one refers to went away meanwhile, or was there already. */
export const sqlState = (error: unknown): string | undefined => {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

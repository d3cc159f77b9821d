// What a handler gets and gives. A handler is a sentence: it turns parameters into input, asks control, and turns the outcome into
// a view. Rules, SQL and try/catch have no place in it.

import type { Control } from '../control/control.ts'
import type { AuthProvider } from '../model/auth.ts'
import type { Caller } from '../model/caller.ts'
import type { OwnOperationName } from './contract/own-operations.ts'
import type { AnswerOf, OperationName, Wire } from './contract/wire.ts'

/** Parameters by their names in the contract. Which of them there are is the path's affair: a handler asks for those of its own. */
export type PathParams = Readonly<
  Record<
    | 'project_id'
    | 'branch_id'
    | 'endpoint_id'
    | 'operation_id'
    | 'snapshot_id'
    | 'jwks_id'
    | 'role_name'
    | 'database_name'
    | 'user_id'
    | 'member_id'
    | 'permission_id'
    | 'invitation_id'
    | 'request_id'
    | 'source_org_id'
    | 'org_id'
    | 'auth_user_id'
    | 'oauth_provider_id',
    string
  > & { key_id: number; auth_provider: AuthProvider }
>

/** A request that has been checked against the contract. */
export type CheckedApiRequest<Query, Body> = {
  control: Control
  caller: Caller
  params: PathParams
  query: Query
  body: Body
  /** The client's name as it is kept with what it creates: `neonctl`, `api` … */
  creationSource: string
}

/** `Query` and `Body` are upstream's types. */
export type ApiRequest<Query = unknown, Body = unknown> = CheckedApiRequest<Wire<Query>, Wire<Body>>

export type Answer<Body> = { status: 200 | 201 | 202; body: Body } | { status: 204 }

export type Handler<Name extends OperationName> = (
  request: CheckedApiRequest<never, never>,
) => Promise<Answer<AnswerOf<Name>>>

/** The operations that are written; the server answers 501 to the contract's others. */
export type Handlers = { readonly [Name in OperationName]?: Handler<Name> } & {
  readonly [Name in OwnOperationName]?: OwnHandler
}

/** Of an operation of our own: its description is all that holds its answer. */
export type OwnHandler = (request: CheckedApiRequest<never, never>) => Promise<Answer<unknown>>

export const ok = <Body>(body: Body): Answer<Body> => ({ status: 200, body })
export const created = <Body>(body: Body): Answer<Body> => ({ status: 201, body })
export const accepted = <Body>(body: Body): Answer<Body> => ({ status: 202, body })

/** 204 where there was nothing left to delete: repeating a deletion is no error. */
export const okOrGone = <Outcome, Body>(outcome: Outcome | undefined, view: (outcome: Outcome) => Body): Answer<Body> =>
  outcome === undefined ? { status: 204 } : ok(view(outcome))

// Operations of pgrove's own: what Neon has no route for, or has in its guides only. They are described as the contract describes its
// own, so that they are routed, checked and answered like the rest, and compared with their description in tests.

import { planNames } from '../../model/plan.ts'
import { eventKinds } from '../../model/event.ts'
import type { ContractOperation, ContractParameter, JsonSchema, Method } from './operations.ts'

export const object = (properties: Record<string, JsonSchema>, required = Object.keys(properties)): JsonSchema => ({
  type: 'object',
  required,
  properties,
})
export const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
export const text: JsonSchema = { type: 'string' }
export const count: JsonSchema = { type: 'integer', minimum: 0 }
export const moment: JsonSchema = { type: 'string', format: 'date-time' }

const pathParameters: Readonly<Record<string, JsonSchema>> = {
  project_id: { type: 'string', pattern: '^[a-z0-9-]{1,60}$' },
  branch_id: { type: 'string', pattern: '^[a-z0-9-]{1,60}$' },
  org_id: { type: 'string', pattern: '^[a-z0-9-]{1,60}$' },
  user_id: { type: 'string', format: 'uuid' },
  invitation_id: { type: 'string', format: 'uuid' },
}

type Description = {
  id: string
  method: Method
  path: string
  query?: Readonly<Record<string, JsonSchema>>
  body?: JsonSchema
  /** Null: 204. */
  answer: JsonSchema | null
}

function own({ id, method, path, query, body, answer }: Description): ContractOperation {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']): ContractParameter => {
    const schema = pathParameters[name]
    if (!schema) throw new Error(`path parameter ${name} of ${id} has no schema`)
    return { name, in: 'path', required: true, schema }
  })
  const inQuery = Object.entries(query ?? {}).map(([name, schema]): ContractParameter => ({
    name,
    in: 'query',
    required: false,
    schema,
  }))
  return {
    id,
    method,
    path,
    deprecated: false,
    parameters: [...inPath, ...inQuery],
    body: body && { required: true, schema: body },
    responses: { ...(answer ? { 200: answer } : { 204: null }), default: errorBody },
  }
}

const errorBody = object({ code: text, message: text })

const textOrNull: JsonSchema = { type: ['string', 'null'] }
const email: JsonSchema = { type: 'string', format: 'email', minLength: 1, maxLength: 256 }
const user = object({ id: text, email: text, name: text, created_at: moment })
const organization = object({ id: text, name: text, handle: text, plan: text, created_at: moment, updated_at: moment })
const invitation = object({ id: text, email: text, org_id: text, org_name: text, invited_at: moment, role: text })

/** One thing that was done or refused. `resources`: what it was done to, by the names that paths have. */
const auditEntry = object({
  id: count,
  at: moment,
  actor: object({
    kind: { enum: ['user', 'organization', 'project', 'operator'] },
    user_id: textOrNull,
    user_email: textOrNull,
    key_id: { type: ['integer', 'null'] },
    key_name: textOrNull,
  }),
  operation_id: text,
  resources: { type: 'object', additionalProperties: text },
  status: count,
  request_id: text,
  remote_address: text,
})

/** What an organization may have, by the names of the table of limits: numbers and switches. */
const organizationLimits = object({
  org_id: text,
  name: text,
  plan: text,
  projects_count: count,
  limits: { type: 'object', additionalProperties: { type: ['number', 'boolean'] } },
  overridden: list(text),
})

/** In the seed, in no client: one flat object. */
const consumption = object({
  project_id: text,
  period_start: moment,
  period_end: moment,
  compute_time_seconds: count,
  active_time_seconds: count,
  data_storage_bytes_hour: count,
  data_transfer_bytes: count,
  written_data_bytes: count,
})

/** Decimal, with at least two digits behind the point. */
const amount: JsonSchema = { type: 'string', pattern: '^-?[0-9]+[.][0-9]{2,8}$' }

/** `quantity` and `included` in the unit, for reading; the amount is computed from what was measured. */
const costLine = object({
  meter: text,
  unit: text,
  quantity: { type: 'number' },
  included: { type: 'number' },
  price: amount,
  amount,
})

/** `is_final`: the period is over and closed. */
const cost = {
  org_id: text,
  period_start: moment,
  period_end: moment,
  currency: text,
  is_final: { type: 'boolean' },
  lines: list(costLine),
  total: amount,
}

/** `grants`: the newest hundred. */
const credits = object({
  org_id: text,
  currency: text,
  remaining: amount,
  grants: list(object({ id: count, amount, note: text, granted_by: textOrNull, created_at: moment })),
})

/** `rate_limit` as in `PGROVE_RATE_LIMIT`; null: as everybody's. */
const rateLimit = object({ rate_limit: text, is_default: { type: 'boolean' } })
const rateLimitChange = object({ rate_limit: { ...text, nullable: true } })

/** What has happened, as webhooks get it as well. */
const eventPage = object({
  events: list(
    object(
      {
        id: count,
        type: { enum: eventKinds },
        timestamp: moment,
        org_id: text,
        project_id: text,
        branch_id: text,
        message: text,
        data: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
      },
      ['id', 'type', 'timestamp', 'org_id', 'message', 'data'],
    ),
  ),
  pagination: object({ next: text }, []),
})
const pageQuery = { limit: { type: 'integer', minimum: 1, maximum: 1000 }, cursor: text }

/** Without its secret, which only the answer that made it shows. */
const webhook = object({
  url: text,
  created_at: moment,
  updated_at: moment,
  last_delivered_at: { ...moment, type: ['string', 'null'] },
  last_failed_at: { ...moment, type: ['string', 'null'] },
  last_error: textOrNull,
})

/** One that no server took. `links`: those in its text. */
const keptMail = object({
  id: text,
  kind: text,
  created_at: moment,
  to: text,
  subject: text,
  text,
  html: text,
  links: list(text),
})

const ownNames = [
  'getProjectConsumption',
  'listAuthMailbox',
  'emptyAuthMailbox',
  'listProjectEvents',
  'listOrganizationEvents',
  'setOrganizationWebhook',
  'getOrganizationWebhook',
  'deleteOrganizationWebhook',
  'getOrganizationLimits',
  'updateOrganizationLimits',
  'withdrawProjectTransferRequests',
  'getProjectCost',
  'getOrganizationCost',
  'getOrganizationCredits',
  'grantOrganizationCredit',
  'getOrganizationRateLimit',
  'updateOrganizationRateLimit',
  'getUserRateLimit',
  'updateUserRateLimit',
  'updateCurrentUser',
  'createUser',
  'createOrganization',
  'listOwnInvitations',
  'acceptInvitation',
  'withdrawOrganizationInvitation',
  'listAuditLog',
] as const

export type OwnOperationName = (typeof ownNames)[number]

export const ownOperations: readonly ContractOperation[] = [
  own({ id: 'getProjectConsumption', method: 'GET', path: '/projects/{project_id}/consumption', answer: consumption }),
  own({
    id: 'listAuthMailbox',
    method: 'GET',
    path: '/projects/{project_id}/branches/{branch_id}/auth/mailbox',
    query: { limit: { type: 'integer', minimum: 1, maximum: 200 } },
    answer: object({ mails: list(keptMail) }),
  }),
  own({
    id: 'emptyAuthMailbox',
    method: 'DELETE',
    path: '/projects/{project_id}/branches/{branch_id}/auth/mailbox',
    answer: null,
  }),
  own({
    id: 'listProjectEvents',
    method: 'GET',
    path: '/projects/{project_id}/events',
    query: pageQuery,
    answer: eventPage,
  }),
  own({
    id: 'listOrganizationEvents',
    method: 'GET',
    path: '/organizations/{org_id}/events',
    query: pageQuery,
    answer: eventPage,
  }),
  own({
    id: 'setOrganizationWebhook',
    method: 'PUT',
    path: '/organizations/{org_id}/webhook',
    body: object({ url: text }),
    answer: object({ webhook, secret: text }),
  }),
  own({
    id: 'getOrganizationWebhook',
    method: 'GET',
    path: '/organizations/{org_id}/webhook',
    answer: object({ webhook }),
  }),
  own({
    id: 'deleteOrganizationWebhook',
    method: 'DELETE',
    path: '/organizations/{org_id}/webhook',
    answer: null,
  }),
  own({
    id: 'getOrganizationLimits',
    method: 'GET',
    path: '/operator/organizations/{org_id}/limits',
    answer: organizationLimits,
  }),
  own({
    id: 'updateOrganizationLimits',
    method: 'PATCH',
    path: '/operator/organizations/{org_id}/limits',
    body: object({ plan: text, limits: { type: 'object' } }, []),
    answer: organizationLimits,
  }),
  own({
    id: 'withdrawProjectTransferRequests',
    method: 'DELETE',
    path: '/projects/{project_id}/transfer_requests',
    answer: object({ withdrawn: count }),
  }),
  own({
    id: 'getOrganizationRateLimit',
    method: 'GET',
    path: '/operator/organizations/{org_id}/rate_limit',
    answer: rateLimit,
  }),
  own({
    id: 'updateOrganizationRateLimit',
    method: 'PATCH',
    path: '/operator/organizations/{org_id}/rate_limit',
    body: rateLimitChange,
    answer: rateLimit,
  }),
  own({
    id: 'getUserRateLimit',
    method: 'GET',
    path: '/operator/users/{user_id}/rate_limit',
    answer: rateLimit,
  }),
  own({
    id: 'updateUserRateLimit',
    method: 'PATCH',
    path: '/operator/users/{user_id}/rate_limit',
    body: rateLimitChange,
    answer: rateLimit,
  }),
  own({
    id: 'updateCurrentUser',
    method: 'PATCH',
    path: '/users/me',
    body: object({ default_org_id: text }, []),
    answer: object({ user, default_org_id: textOrNull }),
  }),
  own({
    id: 'createUser',
    method: 'POST',
    path: '/operator/users',
    body: object({ email, name: text }, ['email']),
    answer: object({ user, api_key: object({ id: count, key: text, name: text, created_at: moment }) }),
  }),
  own({
    id: 'createOrganization',
    method: 'POST',
    path: '/operator/organizations',
    body: object({ name: text, plan: { enum: planNames }, admin_email: email }, ['name']),
    answer: object({ organization }),
  }),
  own({
    id: 'listOwnInvitations',
    method: 'GET',
    path: '/users/me/invitations',
    answer: object({ invitations: list(invitation) }),
  }),
  own({
    id: 'acceptInvitation',
    method: 'POST',
    path: '/invitations/{invitation_id}/accept',
    answer: object({ organization, member: object({ id: text, user_id: text, org_id: text, role: text }) }),
  }),
  own({
    id: 'withdrawOrganizationInvitation',
    method: 'DELETE',
    path: '/organizations/{org_id}/invitations/{invitation_id}',
    answer: null,
  }),
  own({
    id: 'listAuditLog',
    method: 'GET',
    path: '/organizations/{org_id}/audit_log',
    query: { limit: { type: 'integer', minimum: 1, maximum: 1000 }, cursor: text },
    answer: object({ entries: list(auditEntry), pagination: object({ next: text }, []) }),
  }),
  own({
    id: 'getProjectCost',
    method: 'GET',
    path: '/projects/{project_id}/cost',
    query: { period: text },
    answer: object({ project_id: text, ...cost }),
  }),
  own({
    id: 'getOrganizationCost',
    method: 'GET',
    path: '/organizations/{org_id}/cost',
    query: { period: text, limit: { type: 'integer', minimum: 0, maximum: 10_000 } },
    answer: object({
      ...cost,
      credits: object({ used: amount, remaining: amount }),
      due: amount,
      projects: list(object({ project_id: text, total: amount })),
    }),
  }),
  own({
    id: 'getOrganizationCredits',
    method: 'GET',
    path: '/operator/organizations/{org_id}/credits',
    answer: credits,
  }),
  own({
    id: 'grantOrganizationCredit',
    method: 'POST',
    path: '/operator/organizations/{org_id}/credits',
    body: object({ amount: text, note: text }, ['amount']),
    answer: credits,
  }),
]

export const isOwnOperation = (id: string): id is OwnOperationName => ownNames.some((name) => name === id)

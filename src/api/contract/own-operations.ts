// Operations of pgrove's own: what Neon has no route for, or has in its guides only. They are described as the contract describes its
// own, so that they are routed, checked and answered like the rest, and compared with their description in tests.

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
  org_id: { type: 'string', pattern: '^[a-z0-9-]{1,60}$' },
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

const ownNames = ['getProjectConsumption', 'getOrganizationLimits', 'updateOrganizationLimits'] as const

export type OwnOperationName = (typeof ownNames)[number]

export const ownOperations: readonly ContractOperation[] = [
  own({ id: 'getProjectConsumption', method: 'GET', path: '/projects/{project_id}/consumption', answer: consumption }),
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
]

export const isOwnOperation = (id: string): id is OwnOperationName => ownNames.some((name) => name === id)

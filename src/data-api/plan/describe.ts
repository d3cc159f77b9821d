// What answers at the root: the description, a function in its place, or nothing.

import type { DataApiConfig } from '../config.ts'
import { DataApiError } from '../errors.ts'
import { mediaTypeName, type MediaType } from '../request/media-type.ts'
import type { ApiRequest } from '../request/request.ts'
import type { ActionPlan } from './plan.ts'

/** Throws PGRST107, PGRST126. */
export function planDescribe(
  { schema, accept }: ApiRequest,
  isHead: boolean,
  { openapiMode }: Pick<DataApiConfig, 'openapiMode'>,
): ActionPlan {
  if (openapiMode === 'disabled')
    throw new DataApiError({ code: 'PGRST126', message: 'Root endpoint metadata is disabled' })
  const mediaType = descriptionType(accept)
  if (!mediaType) {
    throw new DataApiError({
      code: 'PGRST107',
      message: `None of these media types are available: ${accept.map(mediaTypeName).join(', ')}`,
    })
  }
  const negotiated = { handler: { kind: 'none' }, mediaType, plan: undefined } as const
  return { kind: 'describe', schema, followsPrivileges: openapiMode === 'follow-privileges', negotiated, isHead }
}

/** A description is JSON, and called so by whoever asks for no more than that. */
function descriptionType(accept: readonly MediaType[]): MediaType | undefined {
  const first = accept.find(({ kind }) => kind === 'openapi' || kind === 'json' || kind === 'any')
  return first && (first.kind === 'json' ? first : { kind: 'openapi' })
}

/** The function that is called at the root, in a request that asks for it: a description is made of JSON as anything else is. */
export function rootCall(request: ApiRequest, rootSpec: string): { function: string; request: ApiRequest } {
  const at = rootSpec.indexOf('.')
  const accept = request.accept.flatMap((type): MediaType[] =>
    type.kind === 'openapi' ? [type, { kind: 'json' }] : [type],
  )
  return {
    function: rootSpec.slice(at + 1),
    request: { ...request, accept, schema: at < 0 ? request.schema : rootSpec.slice(0, at) },
  }
}

/** JSON at the root is a description; what the function gives another media type keeps it. */
export function asDescription(plan: ActionPlan, accept: readonly MediaType[]): ActionPlan {
  const { mediaType, plan: explained } = plan.negotiated
  const isDescription = mediaType.kind === 'json' || mediaTypeName(mediaType) === 'application/openapi+json'
  if (!isDescription || explained) return plan
  const named = mediaType.kind === 'json' ? (descriptionType(accept) ?? mediaType) : ({ kind: 'openapi' } as const)
  return { ...plan, negotiated: { ...plan.negotiated, mediaType: named } }
}

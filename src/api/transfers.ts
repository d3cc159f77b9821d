// Projects change hands.

import type { TransferProjectsToOrganizationRequest } from '@neondatabase/api-client'
import type { TransferInput } from '../control/params.ts'
import type { Wire } from './contract/wire.ts'
import { created, ok, type ApiRequest, type Handlers } from './handler.ts'
import { seconds } from './timestamps.ts'

type TransferBody = TransferProjectsToOrganizationRequest

export const transfers = {
  async transferProjectsFromOrgToOrg({ control, caller, params, body }: ApiRequest<unknown, TransferBody>) {
    await control.transfers.betweenOrganizations(caller, params.source_org_id, toTransferInput(body))
    return ok({})
  },

  async transferProjectsFromUserToOrg({ control, caller, body }: ApiRequest<unknown, TransferBody>) {
    await control.transfers.fromDefaultOrganization(caller, toTransferInput(body))
    return ok({})
  },

  async createProjectTransferRequest({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, { ttl_seconds?: number } | undefined>) {
    const request = await control.transfers.createRequest(caller, params.project_id, body?.ttl_seconds)
    return created({
      id: request.id,
      project_id: request.projectId,
      created_at: seconds(request.createdAt),
      expires_at: seconds(request.expiresAt),
    })
  },

  async acceptProjectTransferRequest({
    control,
    caller,
    params,
    body,
  }: ApiRequest<unknown, { org_id?: string } | undefined>) {
    await control.transfers.acceptRequest(caller, params.project_id, params.request_id, body?.org_id)
    return { status: 204 as const }
  },

  async withdrawProjectTransferRequests({ control, caller, params }: ApiRequest) {
    return ok({ withdrawn: await control.transfers.withdrawRequests(caller, params.project_id) })
  },
} satisfies Handlers

function toTransferInput(body: Wire<TransferBody>): TransferInput {
  return { destinationOrgId: body.destination_org_id, projectIds: body.project_ids }
}

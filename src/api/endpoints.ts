// Endpoints.

import type { EndpointCreateRequest, EndpointUpdateRequest } from '@neondatabase/api-client'
import type { Control } from '../control/control.ts'
import type { EndpointOperations } from '../control/params.ts'
import { toEndpointSettings } from './endpoint-settings.ts'
import { awakeReasonView, endpointView } from './endpoint-view.ts'
import { created, ok, okOrGone, type ApiRequest, type Handlers } from './handler.ts'
import { operationView } from './operation-view.ts'

export const endpoints = {
  async createProjectEndpoint({
    control,
    caller,
    params,
    body,
    creationSource,
  }: ApiRequest<unknown, EndpointCreateRequest>) {
    const { endpoint } = body
    const made = await control.endpoints.create(caller, params.project_id, {
      ...toEndpointSettings(endpoint),
      branchId: endpoint.branch_id,
      type: endpoint.type,
      regionId: endpoint.region_id,
      name: endpoint.name,
      disabled: endpoint.disabled,
      creationSource,
    })
    return created(operationsView(control, made))
  },

  async listProjectEndpoints({ control, caller, params }: ApiRequest) {
    const endpoints = await control.endpoints.list(caller, params.project_id)
    return ok({ endpoints: endpoints.map((endpoint) => endpointView(endpoint, control.addresses)) })
  },

  async getProjectEndpoint({ control, caller, params }: ApiRequest) {
    const { awakeReasons, ...endpoint } = await control.endpoints.get(caller, params.project_id, params.endpoint_id)
    const view = endpointView(endpoint, control.addresses)
    return ok({ endpoint: { ...view, awake_reasons: awakeReasons.map(awakeReasonView) } })
  },

  async updateProjectEndpoint({ control, caller, params, body }: ApiRequest<unknown, EndpointUpdateRequest>) {
    const { endpoint } = body
    const input = {
      ...toEndpointSettings(endpoint),
      branchId: endpoint.branch_id,
      name: endpoint.name,
      disabled: endpoint.disabled,
    }
    return ok(
      operationsView(control, await control.endpoints.update(caller, params.project_id, params.endpoint_id, input)),
    )
  },

  async deleteProjectEndpoint({ control, caller, params }: ApiRequest) {
    const deleted = await control.endpoints.delete(caller, params.project_id, params.endpoint_id)
    return okOrGone(deleted, (outcome) => operationsView(control, outcome))
  },

  async startProjectEndpoint({ control, caller, params }: ApiRequest) {
    return ok(operationsView(control, await control.endpoints.start(caller, params.project_id, params.endpoint_id)))
  },

  async suspendProjectEndpoint({ control, caller, params }: ApiRequest) {
    return ok(operationsView(control, await control.endpoints.suspend(caller, params.project_id, params.endpoint_id)))
  },

  async restartProjectEndpoint({ control, caller, params }: ApiRequest) {
    return ok(operationsView(control, await control.endpoints.restart(caller, params.project_id, params.endpoint_id)))
  },
} satisfies Handlers

function operationsView(control: Control, { endpoint, operations }: EndpointOperations) {
  return { endpoint: endpointView(endpoint, control.addresses), operations: operations.map(operationView) }
}

// Projects.

import type {
  DefaultEndpointSettings,
  ListProjectsParams,
  ListSharedProjectsParams,
  ProjectCreateRequest,
  ProjectUpdateRequest,
} from '@neondatabase/api-client'
import type { Control } from '../control/control.ts'
import type { CreateProjectInput, EndpointSettingsInput, ProjectPage } from '../control/params.ts'
import { branchView } from './branch-view.ts'
import { connectionView } from './connection-view.ts'
import type { Wire } from './contract/wire.ts'
import { databaseView } from './database-view.ts'
import { endpointView } from './endpoint-view.ts'
import { created, ok, type ApiRequest, type Handlers } from './handler.ts'
import { operationView } from './operation-view.ts'
import { parseProjectCursor } from './paging.ts'
import { projectDetailsView, projectListItemView, projectView } from './project-view.ts'
import { roleView } from './role-view.ts'

const defaultPageSize = 10

const pageView = ({ addresses, recoveryWindowSeconds }: Control, { projects, usage, cursor }: ProjectPage) => ({
  projects: projects.map((item) =>
    projectListItemView(item, addresses.proxyHost, recoveryWindowSeconds, usage.get(item.project.id)),
  ),
  ...(cursor === undefined ? {} : { pagination: { cursor } }),
})

export const projects = {
  async createProject({ control, caller, body, creationSource }: ApiRequest<unknown, ProjectCreateRequest>) {
    const made = await control.projects.create(caller, { ...toCreateInput(body.project), creationSource })
    return created({
      project: projectView(made.project, control.addresses.proxyHost),
      connection_uris: made.connections.map(connectionView),
      roles: made.roles.map(({ role, password }) => roleView(role, password)),
      databases: made.databases.map(databaseView),
      operations: made.operations.map(operationView),
      branch: branchView(made.branch),
      endpoints: made.endpoints.map((endpoint) => endpointView(endpoint, control.addresses)),
    })
  },

  async listProjects({ control, caller, query }: ApiRequest<ListProjectsParams>) {
    const page = await control.projects.list(caller, {
      cursor: parseProjectCursor(query.cursor),
      limit: query.limit ?? defaultPageSize,
      search: query.search,
      orgId: query.org_id,
      recoverable: query.recoverable ?? false,
    })
    return ok({
      ...pageView(control, page),
      applications: {},
      integrations: {},
    })
  },

  /** The Neon CLI asks with every list. */
  async listSharedProjects({ control, caller, query }: ApiRequest<ListSharedProjectsParams>) {
    const page = await control.projects.listShared(caller, {
      cursor: parseProjectCursor(query.cursor),
      limit: query.limit ?? defaultPageSize,
      search: query.search,
    })
    return ok(pageView(control, page))
  },

  async getProject({ control, caller, params }: ApiRequest) {
    const details = await control.projects.get(caller, params.project_id)
    return ok({ project: projectDetailsView(details, control.addresses.proxyHost) })
  },

  async updateProject({ control, caller, params, body }: ApiRequest<unknown, ProjectUpdateRequest>) {
    const { project, operations } = await control.projects.update(caller, params.project_id, {
      name: body.project.name,
      settings: body.project.settings,
      endpointDefaults: toEndpointDefaults(body.project.default_endpoint_settings),
      historyRetentionSeconds: body.project.history_retention_seconds,
    })
    return ok({ project: projectView(project, control.addresses.proxyHost), operations: operations.map(operationView) })
  },

  async deleteProject({ control, caller, params }: ApiRequest) {
    const project = await control.projects.delete(caller, params.project_id)
    return ok({ project: projectView(project, control.addresses.proxyHost) })
  },

  async recoverProject({ control, caller, params }: ApiRequest) {
    const { project, branches } = await control.projects.recover(caller, params.project_id)
    return ok({
      project: projectView(project, control.addresses.proxyHost),
      branches: branches.map((branch) => branchView(branch)),
    })
  },

  async getAvailablePreloadLibraries({ control, caller, params }: ApiRequest) {
    const libraries = await control.projects.preloadLibraries(caller, params.project_id)
    return ok({
      libraries: libraries.map((library) => ({
        library_name: library.name,
        description: library.description,
        is_default: library.isDefault,
        is_experimental: library.isExperimental,
        version: library.version,
      })),
    })
  },
} satisfies Handlers

function toCreateInput(project: Wire<ProjectCreateRequest>['project']): Omit<CreateProjectInput, 'creationSource'> {
  // The limits stood beside `default_endpoint_settings` once; older clients still send them there.
  const defaults = {
    autoscaling_limit_min_cu: project.autoscaling_limit_min_cu,
    autoscaling_limit_max_cu: project.autoscaling_limit_max_cu,
    ...project.default_endpoint_settings,
  }
  return {
    name: project.name,
    orgId: project.org_id,
    regionId: project.region_id,
    pgVersion: project.pg_version,
    storePasswords: project.store_passwords,
    historyRetentionSeconds: project.history_retention_seconds,
    endpointDefaults: toEndpointDefaults(defaults),
    settings: project.settings,
    branch: project.branch && {
      name: project.branch.name,
      roleName: project.branch.role_name,
      databaseName: project.branch.database_name,
      annotation: project.branch.annotations,
    },
  }
}

function toEndpointDefaults(defaults: Wire<DefaultEndpointSettings> | undefined): EndpointSettingsInput | undefined {
  return (
    defaults && {
      autoscalingLimitMinCu: defaults.autoscaling_limit_min_cu,
      autoscalingLimitMaxCu: defaults.autoscaling_limit_max_cu,
      suspendTimeoutSeconds: defaults.suspend_timeout_seconds,
      pgSettings: defaults.pg_settings,
    }
  )
}

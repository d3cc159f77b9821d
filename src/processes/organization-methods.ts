// What `pgrove org` asks for over the admin socket. Whoever may open that socket owns the installation.

import type { OrganizationAdmin } from '../control/organization-limits.ts'
import type { RpcMethods } from '../lib/rpc.ts'
import type { LimitValues } from '../model/limit-change.ts'

type Params = { organization?: string; name?: string; plan?: string; limits?: LimitValues }

export function organizationMethods(admin: OrganizationAdmin): RpcMethods {
  return {
    listOrganizations: () => admin.list(),
    getOrganization: (params) => admin.get((params as Params).organization ?? ''),
    changeOrganization: (params) => {
      const { organization = '', plan, limits } = params as Params
      return admin.change(organization, { plan, limits })
    },
    createOrganization: (params) => {
      const { name = '', plan } = params as Params
      return admin.create(name, plan)
    },
  }
}

// Where users may be sent after they have signed in.

import type {
  NeonAuthAddDomainToRedirectURIWhitelistRequest,
  NeonAuthDeleteDomainFromRedirectURIWhitelistRequest,
  NeonAuthRedirectURIWhitelistResponse,
} from '@neondatabase/api-client'
import type { AuthProvider } from '../model/auth.ts'
import { ofBranch, ofProject } from './auth-place.ts'
import type { Wire } from './contract/wire.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

type Added = ApiRequest<unknown, NeonAuthAddDomainToRedirectURIWhitelistRequest>
type Deleted = ApiRequest<unknown, NeonAuthDeleteDomainFromRedirectURIWhitelistRequest>

const nothingCreated = { status: 201, body: undefined } as const

export const authDomains = {
  async listBranchNeonAuthTrustedDomains({ control, caller, params }: ApiRequest) {
    return ok(domainsView(await control.auth.domains.list(caller, ofBranch(params))))
  },

  async listNeonAuthRedirectURIWhitelistDomains({ control, caller, params }: ApiRequest) {
    return ok(domainsView(await control.auth.domains.list(caller, ofProject(params))))
  },

  async addBranchNeonAuthTrustedDomain({ control, caller, params, body }: Added) {
    const place = { ...ofBranch(params), provider: body.auth_provider }
    await control.auth.domains.add(caller, place, body.domain)
    return nothingCreated
  },

  async addNeonAuthDomainToRedirectURIWhitelist({ control, caller, params, body }: Added) {
    const place = { ...ofProject(params), provider: body.auth_provider }
    await control.auth.domains.add(caller, place, body.domain)
    return nothingCreated
  },

  async deleteBranchNeonAuthTrustedDomain({ control, caller, params, body }: Deleted) {
    const place = { ...ofBranch(params), provider: body.auth_provider }
    await control.auth.domains.delete(caller, place, namesIn(body))
    return ok(undefined)
  },

  async deleteNeonAuthDomainFromRedirectURIWhitelist({ control, caller, params, body }: Deleted) {
    const place = { ...ofProject(params), provider: body.auth_provider }
    await control.auth.domains.delete(caller, place, namesIn(body))
    return ok(undefined)
  },
} satisfies Handlers

const namesIn = (body: Wire<NeonAuthDeleteDomainFromRedirectURIWhitelistRequest>): string[] =>
  body.domains.map(({ domain }) => domain)

function domainsView({
  domains,
  provider,
}: {
  domains: string[]
  provider: AuthProvider
}): Wire<NeonAuthRedirectURIWhitelistResponse> {
  return { domains: domains.map((domain) => ({ domain, auth_provider: provider })) }
}

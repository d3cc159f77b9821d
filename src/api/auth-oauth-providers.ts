// Providers that users may sign in with.

import type {
  NeonAuthAddOAuthProviderRequest,
  NeonAuthOauthProvider,
  NeonAuthUpdateOAuthProviderRequest,
} from '@neondatabase/api-client'
import type { OauthCredentials, ShownOauthProvider } from '../control/auth/auth-control.ts'
import { ofBranch, ofProject } from './auth-place.ts'
import type { Wire } from './contract/wire.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

type Added = ApiRequest<unknown, NeonAuthAddOAuthProviderRequest>
type Updated = ApiRequest<unknown, NeonAuthUpdateOAuthProviderRequest>

export const authOauthProviders = {
  async listBranchNeonAuthOauthProviders({ control, caller, params }: ApiRequest) {
    const providers = await control.auth.oauthProviders.list(caller, ofBranch(params))
    return ok({ providers: providers.map(oauthProviderView) })
  },

  async listNeonAuthOauthProviders({ control, caller, params }: ApiRequest) {
    const providers = await control.auth.oauthProviders.list(caller, ofProject(params))
    return ok({ providers: providers.map(oauthProviderView) })
  },

  async addBranchNeonAuthOauthProvider({ control, caller, params, body }: Added) {
    const place = ofBranch(params)
    return ok(oauthProviderView(await control.auth.oauthProviders.add(caller, place, body.id, credentialsOf(body))))
  },

  async addNeonAuthOauthProvider({ control, caller, params, body }: Added) {
    const place = ofProject(params)
    return ok(oauthProviderView(await control.auth.oauthProviders.add(caller, place, body.id, credentialsOf(body))))
  },

  async updateBranchNeonAuthOauthProvider({ control, caller, params, body }: Updated) {
    const [place, id] = [ofBranch(params), params.oauth_provider_id]
    return ok(oauthProviderView(await control.auth.oauthProviders.update(caller, place, id, credentialsOf(body))))
  },

  async updateNeonAuthOauthProvider({ control, caller, params, body }: Updated) {
    const [place, id] = [ofProject(params), params.oauth_provider_id]
    return ok(oauthProviderView(await control.auth.oauthProviders.update(caller, place, id, credentialsOf(body))))
  },

  async deleteBranchNeonAuthOauthProvider({ control, caller, params }: ApiRequest) {
    await control.auth.oauthProviders.delete(caller, ofBranch(params), params.oauth_provider_id)
    return ok(undefined)
  },

  async deleteNeonAuthOauthProvider({ control, caller, params }: ApiRequest) {
    await control.auth.oauthProviders.delete(caller, ofProject(params), params.oauth_provider_id)
    return ok(undefined)
  },
} satisfies Handlers

function credentialsOf(body: Wire<NeonAuthUpdateOAuthProviderRequest>): OauthCredentials {
  return {
    clientId: body.client_id,
    clientSecret: body.client_secret,
    microsoftTenantId: body.microsoft_tenant_id,
  }
}

export function oauthProviderView({
  id,
  type,
  clientId,
  clientSecret,
}: ShownOauthProvider): Wire<NeonAuthOauthProvider> {
  return { id, type, client_id: clientId, client_secret: clientSecret }
}

import type { ControlContext } from '../context.ts'
import type { AuthControl } from './auth-control.ts'
import { authDomainControl } from './domains.ts'
import { emailServerControl } from './email-server.ts'
import { integrationControl } from './integrations.ts'
import { oauthProviderControl } from './oauth-providers.ts'
import { authSettingsControl } from './settings.ts'
import { authUserControl } from './users.ts'

export function authControl(control: ControlContext): AuthControl {
  return {
    ...integrationControl(control),
    ...authSettingsControl(control),
    oauthProviders: oauthProviderControl(control),
    domains: authDomainControl(control),
    emailServer: emailServerControl(control),
    users: authUserControl(control),
  }
}

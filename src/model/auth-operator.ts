// What the operator of an installation gives all integrations: credentials at OAuth providers, a mail server, a stand-in for both.

import type { OauthEndpoints } from './auth-target.ts'
import type { OauthProviderId } from './auth.ts'

export type SharedOauthClient = {
  clientId: string
  clientSecret: string
  microsoftTenantId: string | undefined
  /** In place of the provider's well-known ones. */
  endpoints: Readonly<Partial<OauthEndpoints>> | undefined
}

export type OperatorSmtp = {
  host: string
  port: number
  /** Undefined: the server asks for nobody. */
  username: string | undefined
  password: string | undefined
  senderEmail: string
  senderName: string
}

export type AuthOperator = {
  oauth: Readonly<Partial<Record<OauthProviderId, SharedOauthClient>>>
  /** Undefined: mails stay in the development mailbox. */
  smtp: OperatorSmtp | undefined
  /** Whether the development identity provider stands in where there are no credentials. */
  hasDevelopmentProvider: boolean
}

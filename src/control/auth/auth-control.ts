// What control offers of sign-in, and what its calls take.

import type {
  AuthEventType,
  AuthIntegration,
  AuthProvider,
  AuthSettings,
  EmailServer,
  OauthProvider,
  OauthProviderId,
  SmtpServer,
} from '../../model/auth.ts'
import type { Caller } from '../../model/caller.ts'
import type { SdkKeys } from './new-integration.ts'
import type { AuthUrls } from './urls.ts'

/**
 * Which integration is meant. Older routes name no branch: it is the project's, that of its default branch before others. `provider`: what it
 * has to be.
 */
export type AuthPlace = {
  projectId: string
  branchId?: string | undefined
  provider?: AuthProvider | undefined
}

/** `appName`: in mails. */
export type ShownIntegration = { integration: AuthIntegration; appName: string; urls: AuthUrls }

/** `keys`: undefined where the provider has none. They are shown this once. */
export type CreatedIntegration = ShownIntegration & { keys: SdkKeys | undefined }

export type ShownOauthProvider = Pick<OauthProvider, 'id' | 'type' | 'clientId'> & {
  /** Of whoever has just said it. */
  clientSecret?: string | undefined
}

export type OauthCredentials = {
  clientId?: string | undefined
  clientSecret?: string | undefined
  microsoftTenantId?: string | undefined
}

/** As `EmailServer`; an empty password is the one that is stored. */
export type EmailServerInput =
  | { type: 'shared'; senderEmail?: string | undefined; senderName?: string | undefined }
  | ({ type: 'standard' } & Omit<SmtpServer, 'privateAllowed'>)

/** Without its password. */
export type ShownEmailServer = Exclude<EmailServer, { type: 'standard' }> | (EmailServer & { password: '' })

/** What is not named stays. */
export type SettingsChange = {
  [Key in 'emailAndPassword' | 'organization' | 'magicLink' | 'phoneNumber']?: {
    [Field in keyof AuthSettings[Key]]?: AuthSettings[Key][Field] | undefined
  }
} & { allowLocalhost?: boolean | undefined }

export interface AuthControl {
  /** Returns when the database is ready for users. The branch's first database where none is named. */
  create(
    caller: Caller,
    place: { projectId: string; branchId: string },
    input: { provider: AuthProvider; databaseName?: string | undefined },
  ): Promise<CreatedIntegration>
  get(caller: Caller, place: AuthPlace): Promise<ShownIntegration>
  list(caller: Caller, projectId: string): Promise<ShownIntegration[]>
  /** Users stay in the database, for the next integration there, unless their data is to be deleted. */
  disable(caller: Caller, place: AuthPlace, options: { deleteData: boolean }): Promise<void>
  /** Earlier ones go on. */
  createKeys(caller: Caller, place: AuthPlace): Promise<CreatedIntegration>
  /** Throws: there is nobody to transfer it to. */
  transfer(caller: Caller, place: AuthPlace): Promise<string>
  rename(caller: Caller, place: AuthPlace, name: string): Promise<string>
  settings(caller: Caller, place: AuthPlace): Promise<AuthSettings>
  changeSettings(caller: Caller, place: AuthPlace, change: SettingsChange): Promise<AuthSettings>
  /** Replaces what was there. */
  setWebhook(
    caller: Caller,
    place: AuthPlace,
    webhook: { enabled: boolean; url: string | undefined; events: AuthEventType[]; timeoutSeconds: number },
  ): Promise<AuthSettings['webhooks']>
  oauthProviders: {
    list(caller: Caller, place: AuthPlace): Promise<ShownOauthProvider[]>
    /** Shared where no credentials are given. */
    add(caller: Caller, place: AuthPlace, id: OauthProviderId, given: OauthCredentials): Promise<ShownOauthProvider>
    update(caller: Caller, place: AuthPlace, id: string, given: OauthCredentials): Promise<ShownOauthProvider>
    delete(caller: Caller, place: AuthPlace, id: string): Promise<void>
  }
  domains: {
    list(caller: Caller, place: AuthPlace): Promise<{ domains: string[]; provider: AuthProvider }>
    add(caller: Caller, place: AuthPlace, domain: string): Promise<void>
    /** All of them or none. */
    delete(caller: Caller, place: AuthPlace, domains: readonly string[]): Promise<void>
  }
  emailServer: {
    get(caller: Caller, place: AuthPlace): Promise<ShownEmailServer>
    set(caller: Caller, place: AuthPlace, server: EmailServerInput): Promise<ShownEmailServer>
    /** What the server said is no error of the call. */
    test(
      caller: Caller,
      place: AuthPlace,
      server: Extract<EmailServerInput, { type: 'standard' }>,
      recipient: string,
    ): Promise<{ success: boolean; error: string | undefined }>
  }
  users: {
    create(caller: Caller, place: AuthPlace, input: { email: string; name: string | undefined }): Promise<string>
    delete(caller: Caller, place: AuthPlace, userId: string): Promise<void>
    setRoles(caller: Caller, place: AuthPlace, userId: string, roles: readonly string[]): Promise<string>
  }
}

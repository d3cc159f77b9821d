// Rows as the clients of this surface read them: one shape for apps' pages, and one that knows more for their servers.

import type { AuthTarget } from '../../model/auth-target.ts'
import type { ContactChannel } from '../store/contact-channels.ts'
import type { Invitation, Member, Team } from '../store/organizations.ts'
import type { StoredSession } from '../store/sessions.ts'
import type { StoredUser } from '../store/users.ts'

type View = Record<string, unknown>

/** Better Auth's ban is Stack's restriction by an administrator. */
export function restriction(user: Pick<StoredUser, 'banned'>): {
  is_restricted: boolean
  restricted_reason: { type: string } | null
} {
  return {
    is_restricted: user.banned,
    restricted_reason: user.banned ? { type: 'restricted_by_administrator' } : null,
  }
}

export function clientUserView(user: StoredUser, team: Team | undefined): View {
  return {
    id: user.id,
    primary_email: user.email,
    primary_email_verified: user.emailVerified,
    display_name: user.name,
    client_metadata: user.clientMetadata,
    client_read_only_metadata: user.clientReadOnlyMetadata,
    profile_image_url: user.image,
    signed_up_at_millis: user.createdAt.getTime(),
    has_password: user.hasPassword,
    auth_with_email: user.email !== null && user.emailSignsIn && (user.hasPassword || user.codeSignsIn),
    oauth_providers: user.oauthAccounts.map(({ id, account_id }) => ({ id, account_id, email: null })),
    selected_team_id: team?.id ?? null,
    selected_team: team ? clientTeamView(team) : null,
    requires_totp_mfa: false,
    otp_auth_enabled: user.codeSignsIn,
    passkey_auth_enabled: false,
    is_anonymous: false,
    ...restriction(user),
    restricted_by_admin: user.banned,
    restricted_by_admin_reason: user.banned ? user.banReason : null,
  }
}

export function serverUserView(user: StoredUser, team: Team | undefined): View {
  return {
    ...clientUserView(user, team),
    selected_team: team ? serverTeamView(team) : null,
    server_metadata: user.serverMetadata,
    last_active_at_millis: user.lastActiveAt.getTime(),
    primary_email_auth_enabled: user.email !== null && user.emailSignsIn,
    restricted_by_admin_private_details: null,
    country_code: null,
    risk_scores: { sign_up: { bot: 0, free_trial_abuse: 0 } },
  }
}

export function clientTeamView(team: Team): View {
  return {
    id: team.id,
    display_name: team.name,
    profile_image_url: team.image,
    client_metadata: team.clientMetadata,
    client_read_only_metadata: team.clientReadOnlyMetadata,
  }
}

export function serverTeamView(team: Team): View {
  return { ...clientTeamView(team), server_metadata: team.serverMetadata, created_at_millis: team.createdAt.getTime() }
}

export function memberProfileView(member: Member, user: StoredUser): View {
  return {
    team_id: member.teamId,
    user_id: member.userId,
    display_name: member.displayName ?? user.name,
    profile_image_url: member.image ?? user.image,
  }
}

export function invitationView(invitation: Invitation): View {
  return {
    id: invitation.id,
    team_id: invitation.teamId,
    team_display_name: invitation.teamName,
    recipient_email: invitation.email,
    expires_at_millis: invitation.expiresAt.getTime(),
  }
}

export function sessionView(session: StoredSession, currentId: string | undefined): View {
  return {
    id: session.id,
    user_id: session.userId,
    created_at: session.createdAt.getTime(),
    is_impersonation: session.isImpersonation,
    ...(session.lastUsedAt && { last_used_at: session.lastUsedAt.getTime() }),
    is_current_session: session.id === currentId,
  }
}

/** The primary address is no row of its own: the user's id stands for it. */
export function primaryChannelView(user: StoredUser): View {
  return {
    id: user.id,
    user_id: user.id,
    type: 'email',
    value: user.email,
    is_verified: user.emailVerified,
    is_primary: true,
    used_for_auth: user.emailSignsIn,
  }
}

export function contactChannelView(channel: ContactChannel): View {
  return {
    id: channel.id,
    user_id: channel.userId,
    type: 'email',
    value: channel.value,
    is_verified: channel.isVerified,
    is_primary: false,
    used_for_auth: channel.usedForAuth,
  }
}

/** What an app's pages need to know to show the right forms. */
export function projectView(target: AuthTarget): View {
  const { settings } = target
  const domains = target.trustedDomains.map((domain) => ({ domain, handler_path: '/handler' }))
  const providers = target.oauthProviders.map(({ id }) => ({ id }))
  const config = {
    sign_up_enabled: !settings.emailAndPassword.disableSignUp,
    credential_enabled: settings.emailAndPassword.enabled,
    magic_link_enabled: settings.magicLink.enabled,
    passkey_enabled: false,
    client_team_creation_enabled: settings.organization.enabled,
    client_user_deletion_enabled: true,
    allow_localhost: settings.allowLocalhost,
    allow_user_api_keys: false,
    allow_team_api_keys: false,
    oauth_account_merge_strategy: 'link_method',
    enabled_oauth_providers: providers,
    oauth_providers: providers,
    domains,
  }
  return { id: target.integrationId, display_name: target.appName, description: '', config }
}

// The tables of sign-in, column for column as Better Auth's own migrator makes them (a test compares), and beside them what Stack knows of
// a user, a session, a team and a member that Better Auth has no place for.
//
// The bounds are there because a database's owner may write into every table of it: whoever reads a row must not get a gigabyte of name.

/**
 * Octets at most. What the surfaces accept is less; these are wide enough that no request of theirs fails on them. One constraint a table: each
 * costs a project that gets sign-in a millisecond. A column that is null is within its bounds.
 */
const bounds = (limits: Readonly<Record<string, number>>, ...more: string[]): string => {
  const each = Object.entries(limits).map(([column, octets]) => `octet_length("${column}") <= ${octets}`)
  return `CONSTRAINT bounds CHECK (${[...each, ...more].join(' AND ')})`
}

const metadata = ['client_metadata', 'client_read_only_metadata', 'server_metadata'].map(
  (column) => `octet_length(${column}::text) <= ${64 * 1024}`,
)

const metadataBytes = 64 * 1024
const tokenBytes = 32 * 1024

export const tables = `
CREATE TABLE "user" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "name" text NOT NULL,
  -- One below \`.invalid\` stands for none: Better Auth's users have one, Stack's need not.
  "email" text NOT NULL UNIQUE,
  "emailVerified" boolean NOT NULL,
  "image" text,
  "createdAt" timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  "updatedAt" timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  "role" text,
  "banned" boolean,
  "banReason" text,
  "banExpires" timestamptz,
  "phoneNumber" text UNIQUE,
  "phoneNumberVerified" boolean,
  ${bounds({ name: 1024, email: 1280, image: 4096, role: 1024, banReason: 4096, phoneNumber: 64 }, 'char_length("email") <= 320')}
);

CREATE TABLE "session" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "expiresAt" timestamptz NOT NULL,
  "token" text NOT NULL UNIQUE,
  "createdAt" timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  "updatedAt" timestamptz NOT NULL,
  "ipAddress" text,
  "userAgent" text,
  "userId" uuid NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE,
  "impersonatedBy" text,
  "activeOrganizationId" text,
  ${bounds({ token: 512, ipAddress: 256, userAgent: 16_384, impersonatedBy: 256, activeOrganizationId: 256 })}
);
CREATE INDEX "session_userId_idx" ON "session" ("userId");

CREATE TABLE "account" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "accountId" text NOT NULL,
  "providerId" text NOT NULL,
  "userId" uuid NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE,
  "accessToken" text,
  "refreshToken" text,
  "idToken" text,
  "accessTokenExpiresAt" timestamptz,
  "refreshTokenExpiresAt" timestamptz,
  "scope" text,
  "password" text,
  "createdAt" timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  "updatedAt" timestamptz NOT NULL,
  ${bounds({
    accountId: 1024,
    providerId: 256,
    accessToken: tokenBytes,
    refreshToken: tokenBytes,
    idToken: tokenBytes,
    scope: 4096,
    password: 1024,
  })}
);
CREATE INDEX "account_userId_idx" ON "account" ("userId");
-- One account at a provider opens one user, whoever comes first.
CREATE UNIQUE INDEX "account_providerId_accountId_idx" ON "account" ("providerId", "accountId");

CREATE TABLE "verification" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "identifier" text NOT NULL,
  "value" text NOT NULL,
  "expiresAt" timestamptz NOT NULL,
  "createdAt" timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  "updatedAt" timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  ${bounds({ identifier: 2048, value: 65_536 })}
);
CREATE INDEX "verification_identifier_idx" ON "verification" ("identifier");
CREATE INDEX "verification_expiresAt_idx" ON "verification" ("expiresAt");

-- Empty: the keys that sign are not kept where the owner of the data could read them, and a restore could bring old ones back.
CREATE TABLE "jwks" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "publicKey" text NOT NULL,
  "privateKey" text NOT NULL,
  "createdAt" timestamptz NOT NULL,
  "expiresAt" timestamptz,
  "alg" text,
  "crv" text,
  ${bounds({ publicKey: 4096, privateKey: 4096, alg: 64, crv: 64 })}
);

CREATE TABLE "organization" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "name" text NOT NULL,
  "slug" text NOT NULL UNIQUE,
  "logo" text,
  "createdAt" timestamptz NOT NULL,
  "metadata" text,
  ${bounds({ name: 1024, slug: 1024, logo: 4096, metadata: metadataBytes })}
);

CREATE TABLE "member" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "organizationId" uuid NOT NULL REFERENCES "organization" ("id") ON DELETE CASCADE,
  "userId" uuid NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE,
  "role" text NOT NULL,
  "createdAt" timestamptz NOT NULL,
  ${bounds({ role: 1024 })}
);
CREATE INDEX "member_organizationId_idx" ON "member" ("organizationId");
CREATE INDEX "member_userId_idx" ON "member" ("userId");

CREATE TABLE "invitation" (
  "id" uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  "organizationId" uuid NOT NULL REFERENCES "organization" ("id") ON DELETE CASCADE,
  "email" text NOT NULL,
  "role" text,
  "status" text NOT NULL,
  "expiresAt" timestamptz NOT NULL,
  "createdAt" timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  "inviterId" uuid NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE,
  ${bounds({ email: 1280, role: 1024, status: 64 })}
);
CREATE INDEX "invitation_organizationId_idx" ON "invitation" ("organizationId");
CREATE INDEX "invitation_email_idx" ON "invitation" ("email");

-- As Neon has it, and empty: settings hold secrets, and are not the data's to carry along.
CREATE TABLE project_config (
  id uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  name text NOT NULL,
  endpoint_id text NOT NULL UNIQUE,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  trusted_origins jsonb NOT NULL,
  social_providers jsonb NOT NULL,
  email_provider jsonb,
  email_and_password jsonb,
  allow_localhost boolean NOT NULL,
  plugin_configs jsonb,
  webhook_config jsonb
);

-- One row a user, made with it.
CREATE TABLE stack_user (
  user_id uuid NOT NULL PRIMARY KEY REFERENCES "user" ("id") ON DELETE CASCADE,
  client_metadata jsonb,
  client_read_only_metadata jsonb,
  server_metadata jsonb,
  selected_team_id uuid REFERENCES "organization" ("id") ON DELETE SET NULL,
  primary_email_auth_enabled boolean DEFAULT true NOT NULL,
  otp_auth_enabled boolean DEFAULT false NOT NULL,
  -- When it last came in, by whichever surface; bumped with each new session.
  signed_in_at timestamptz,
  last_active_at timestamptz,
  ${bounds({}, ...metadata)}
);
CREATE INDEX stack_user_selected_team_id_idx ON stack_user (selected_team_id);

-- Rows are made where there is something to say.
CREATE TABLE stack_session (
  session_id uuid NOT NULL PRIMARY KEY REFERENCES "session" ("id") ON DELETE CASCADE,
  is_impersonation boolean DEFAULT false NOT NULL,
  last_used_at timestamptz
);

-- Further addresses; the primary one is the user's own \`email\`. Who has verified one that signs in has it alone.
CREATE TABLE stack_contact_channel (
  id uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES "user" ("id") ON DELETE CASCADE,
  value text NOT NULL,
  is_verified boolean NOT NULL,
  used_for_auth boolean NOT NULL,
  created_at timestamptz DEFAULT CURRENT_TIMESTAMP NOT NULL,
  UNIQUE (user_id, value),
  ${bounds({ value: 1280 })}
);
CREATE UNIQUE INDEX stack_contact_channel_value_idx ON stack_contact_channel (value) WHERE is_verified AND used_for_auth;

CREATE TABLE stack_team (
  organization_id uuid NOT NULL PRIMARY KEY REFERENCES "organization" ("id") ON DELETE CASCADE,
  client_metadata jsonb,
  client_read_only_metadata jsonb,
  server_metadata jsonb,
  profile_image_url text,
  ${bounds({ profile_image_url: 4096 }, ...metadata)}
);

CREATE TABLE stack_member (
  member_id uuid NOT NULL PRIMARY KEY REFERENCES "member" ("id") ON DELETE CASCADE,
  display_name text,
  profile_image_url text,
  ${bounds({ display_name: 1024, profile_image_url: 4096 })}
);
`

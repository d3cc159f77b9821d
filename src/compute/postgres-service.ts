// Names that pgrove itself uses inside every Postgres that it runs.

/** The only superuser; its password is derived, never stored, and no tenant can become it. */
export const serviceRole = 'pgrove_service'
/** What API-made roles are members of. It carries the `pg_*` memberships; attributes are not inherited, so roles get those themselves. */
export const tenantGroupRole = 'neon_superuser'
/** Where the service role connects to; tenants may connect to it as well, but do not own it. */
export const maintenanceDatabase = 'postgres'
/** What the template holds ready, to be renamed. */
export const templateDatabase = 'neondb'
/** Sockets carry it in their name only: nothing listens on TCP. */
export const socketPort = 5432
/** Owns the schema `neon_auth` of every database with sign-in, and nothing else; the auth process comes in as this role. */
export const authRole = 'pgrove_auth'
/** As which the Data API's process comes in; may become what `authenticator` may become, and owns nothing. */
export const dataApiRole = 'pgrove_data_api'

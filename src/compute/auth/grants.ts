// Who may what in `neon_auth`. The owner of the database, whoever that is at the time, reads users and refers to them; sessions, passwords and
// codes are given to nobody. (Roles made by the API are members of `pg_read_all_data`, and read those by that; the roles of the Data API are not.)

import { tenantGroupRole } from '../postgres-service.ts'

export const grants = `
REVOKE ALL ON SCHEMA neon_auth FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA neon_auth FROM PUBLIC;
GRANT USAGE ON SCHEMA neon_auth TO pg_database_owner, ${tenantGroupRole};
GRANT SELECT, REFERENCES ON users_sync TO pg_database_owner, ${tenantGroupRole};
GRANT SELECT ON "user" TO pg_database_owner, ${tenantGroupRole};
`

// A connection of the service role, over the compute's socket.
//
// The role is a superuser, and a tenant owns what it meets in there. So what a tenant can set for a database is overruled by startup
// options, and names resolve in `pg_catalog` only: no function or operator of a tenant's is ever called by accident.

import pg from 'pg'
import type { PgMajor } from '../model/compute.ts'
import { maintenanceDatabase, serviceRole, socketPort } from './postgres-service.ts'

/** Counted as ours and not as a tenant's activity. */
export const serviceApplication = 'pgrove'

const overrides = [
  // Who we are and what a name means.
  'role=none',
  'search_path=pg_catalog',
  'local_preload_libraries=',
  'row_security=off',
  // A table of hints would be a view of the tenant's, and the statements that hold verifiers are none of the tenant's statistics.
  'pg_hint_plan.enable_hint_table=off',
  'pg_stat_statements.track=none',
  // Whether and for how long a statement runs.
  'default_transaction_read_only=off',
  'default_transaction_deferrable=off',
  'default_transaction_isolation=read\\ committed',
  'statement_timeout=0',
  // A tenant's open transaction would otherwise hold an operation, and with it the whole project, for as long as it likes.
  'lock_timeout=10s',
  'idle_in_transaction_session_timeout=0',
  'idle_session_timeout=0',
  'exit_on_error=off',
  'synchronous_commit=on',
  // How text is read and written.
  'standard_conforming_strings=on',
  'client_min_messages=warning',
  'datestyle=ISO',
  'timezone=UTC',
  'bytea_output=hex',
]

function startupOptions(major: PgMajor): string {
  return [...overrides, ...(major >= 17 ? ['transaction_timeout=0'] : [])].map((each) => `-c ${each}`).join(' ')
}

export type ServiceAddress = { major: PgMajor; socketDir: string; password: string; database?: string }

/** The same connection for a program of Postgres' own, which reads it from its environment. */
export function serviceEnvironment({ major, socketDir, password, database }: ServiceAddress): Record<string, string> {
  return {
    PGHOST: socketDir,
    PGPORT: String(socketPort),
    PGUSER: serviceRole,
    PGPASSWORD: password,
    PGDATABASE: database ?? maintenanceDatabase,
    PGAPPNAME: serviceApplication,
    PGOPTIONS: startupOptions(major),
    PGCLIENTENCODING: 'UTF8',
    PGCONNECT_TIMEOUT: '10',
    // Neither of them is ours to read, and nobody else's is to be believed.
    PGPASSFILE: '/dev/null',
    PGSERVICEFILE: '/dev/null',
  }
}

/** The caller ends it. */
export async function connectAsService({ major, socketDir, password, database }: ServiceAddress): Promise<pg.Client> {
  const client = new pg.Client({
    host: socketDir,
    port: socketPort,
    user: serviceRole,
    password,
    database: database ?? maintenanceDatabase,
    application_name: serviceApplication,
    options: startupOptions(major),
    connectionTimeoutMillis: 10_000,
  })
  // A compute may end under an idle client; whoever uses the client next hears of it from the query.
  client.on('error', () => {})
  await client.connect()
  return client
}

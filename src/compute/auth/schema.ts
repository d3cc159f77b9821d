// The schema `neon_auth` of a database with sign-in: made by us and not by a library, so that it is there before the first request, whole or
// not at all, and known by a number.
//
// The number stands in the schema's comment: it goes wherever the schema goes, also where only the schema is copied, and can be read
// without running anything of what is in there. A later version adds its statements to `versions`.

import type pg from 'pg'
import { authSchema } from '../../model/auth.ts'
import { AppError } from '../../model/errors.ts'
import { authRole } from '../postgres-service.ts'
import { grants } from './grants.ts'
import { tables } from './tables.ts'
import { userEvents } from './user-events.ts'
import { usersSync } from './users-sync.ts'

/** What each version adds to the one before it. */
const versions: readonly string[] = [`${tables}${usersSync}${userEvents}${grants}`]

/** What this pgrove makes and works with. */
export const authVersion = versions.length

const commentOf = (version: number): string => `Users of the app, version ${version}`

/** 0: an empty schema, or one of somebody else's; undefined: none. Any role may ask. */
export async function readAuthVersion(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{ owner: string; comment: string | null }>(
    `SELECT pg_catalog.pg_get_userbyid(n.nspowner) AS owner, pg_catalog.obj_description(n.oid, 'pg_namespace') AS comment
     FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name`,
    [authSchema],
  )
  const [row] = rows
  if (!row) return undefined
  const [, version] = row.owner === authRole ? (/ version (\d{1,4})$/.exec(row.comment ?? '') ?? []) : []
  return version === undefined ? 0 : Number(version)
}

/**
 * Brings the schema to this version; returns the one that it had before, 0 where there was nothing. `client`: `authRole`'s. May run again, and
 * beside itself. Throws `schema_newer` for one of a later pgrove.
 */
export async function applyAuthSchema(client: pg.Client): Promise<number> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))', [authSchema])
    const there = (await readAuthVersion(client)) ?? 0
    if (there > authVersion) {
      throw new AppError('schema_newer', `the schema ${authSchema} is of a later version of pgrove`)
    }
    if (there < authVersion) {
      await client.query(
        [
          `SET LOCAL search_path = ${authSchema}`,
          ...versions.slice(there),
          `COMMENT ON SCHEMA ${authSchema} IS '${commentOf(authVersion)}'`,
        ].join(';\n'),
      )
    }
    await client.query('COMMIT')
    return there
  } catch (cause) {
    await client.query('ROLLBACK').catch(() => {})
    throw cause
  }
}

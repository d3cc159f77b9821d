// `pg_session_jwt` as far as SQL can be it: who asks, by the claims that whoever let the request in has set for its transaction
// (`request.jwt.claims`, as PostgREST does). There is no other source of claims here, so they are worth what the connection is worth.
//
// The original also takes a token of the session's own, for clients that connect with one; ours says that it does not. The functions run with
// their caller's rights, and name everything in full: they are part of policies, whatever the search path of who asks.

import type pg from 'pg'
import type { PgMajor } from '../../model/compute.ts'
import { sqlName } from '../sql-text.ts'

export const sessionJwtExtension = { name: 'pg_session_jwt', version: '0.5.0' } as const

export const sessionJwtControl = `comment = 'who a request comes from, by the claims of its token'
default_version = '${sessionJwtExtension.version}'
relocatable = false
schema = auth
trusted = true
`

const setting = `nullif(pg_catalog.current_setting('request.jwt.claims', true), '')`

/** Claims that are not JSON say as little as none. Where Postgres cannot ask that beforehand it takes an exception, and parallel workers can have none. */
const session = (major: PgMajor): string =>
  major >= 16
    ? `LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN pg_catalog.pg_input_is_valid(${setting}, 'pg_catalog.jsonb') THEN ${setting}::pg_catalog.jsonb
    ELSE 'null'::pg_catalog.jsonb END
$$`
    : `LANGUAGE plpgsql STABLE PARALLEL UNSAFE AS $$
BEGIN
  RETURN coalesce(${setting}::pg_catalog.jsonb, 'null'::pg_catalog.jsonb);
EXCEPTION WHEN invalid_text_representation OR untranslatable_character OR program_limit_exceeded OR statement_too_complex THEN
  RETURN 'null'::pg_catalog.jsonb;
END
$$`

const isUuid = (value: string): string =>
  `${value} OPERATOR(pg_catalog.~) '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'`
const typeOf = (value: string, type: string): string =>
  `pg_catalog.jsonb_typeof(${value}) OPERATOR(pg_catalog.=) '${type}'`

export function sessionJwtScript(major: PgMajor): string {
  const parallel = major >= 16 ? 'SAFE' : 'UNSAFE'
  const claim = (name: string, returns: string, value: string, comment: string): string => `
CREATE FUNCTION @extschema@.${name}() RETURNS pg_catalog.${returns} LANGUAGE sql STABLE PARALLEL ${parallel} AS $$
  ${value}
$$;
COMMENT ON FUNCTION @extschema@.${name}() IS '${comment}';
`
  const refused = (name: string, what: string): string => `
CREATE FUNCTION @extschema@.${name} RETURNS pg_catalog.void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'pg_session_jwt takes no ${what} of a session here: claims come with the request (request.jwt.claims)'
    USING ERRCODE = 'feature_not_supported';
END
$$;
`
  return `\\echo Use "CREATE EXTENSION ${sessionJwtExtension.name}" to load this file. \\quit

CREATE FUNCTION @extschema@.session() RETURNS pg_catalog.jsonb ${session(major)};
COMMENT ON FUNCTION @extschema@.session() IS 'The claims of the token of the request; JSON null where there are none.';
${[
  claim('jwt', 'jsonb', 'SELECT @extschema@.session()', 'As session().'),
  claim(
    'user_id',
    'text',
    `SELECT CASE WHEN ${typeOf(`c OPERATOR(pg_catalog.->) 'sub'`, 'string')} THEN c OPERATOR(pg_catalog.->>) 'sub' END FROM (SELECT @extschema@.session() AS c) s`,
    'Who asks: the claim sub; null where nobody is signed in.',
  ),
  claim(
    'uid',
    'uuid',
    `SELECT CASE WHEN ${isUuid('u')} THEN u::pg_catalog.uuid END FROM (SELECT @extschema@.user_id() AS u) s`,
    'user_id() as a UUID; null where it is none.',
  ),
  claim(
    'organization',
    'jsonb',
    `SELECT CASE WHEN ${typeOf(`c OPERATOR(pg_catalog.->) 'o'`, 'object')} THEN c OPERATOR(pg_catalog.->) 'o' END FROM (SELECT @extschema@.session() AS c) s`,
    'The organization that is active: the claim o.',
  ),
  claim(
    'organization_id',
    'uuid',
    `SELECT CASE WHEN ${isUuid('i')} THEN i::pg_catalog.uuid END FROM (SELECT @extschema@.organization() OPERATOR(pg_catalog.->>) 'id' AS i) s`,
    'Its id; null where it is no UUID.',
  ),
  refused('init()', 'key'),
  refused('jwt_session_init(jwt pg_catalog.text)', 'token'),
].join('')}
GRANT USAGE ON SCHEMA @extschema@ TO PUBLIC;
`
}

/**
 * Creates it for the database's owner, as the owner would. Returns why not, where something else is in its place: a schema `auth` is the
 * tenant's to have. `client`: the service role's.
 */
export async function ensureSessionJwt(client: pg.Client): Promise<string | undefined> {
  const { name } = sessionJwtExtension
  const { rows } = await client.query<{ owner: string; there: boolean; schema: boolean; available: boolean }>(
    `SELECT (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()) AS owner,
       EXISTS (SELECT FROM pg_extension WHERE extname = $1) AS there,
       EXISTS (SELECT FROM pg_namespace WHERE nspname = 'auth') AS schema,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = $1) AS available`,
    [name],
  )
  const [seen] = rows
  if (!seen || seen.there) return undefined
  if (seen.schema) return 'there is a schema auth'
  if (!seen.available) return 'the compute was started before there was this extension'
  await client
    .query(`BEGIN; SET LOCAL ROLE ${sqlName(seen.owner)}; CREATE EXTENSION ${name}; COMMIT`)
    .catch(async (error: unknown) => {
      await client.query('ROLLBACK')
      throw error
    })
  return undefined
}

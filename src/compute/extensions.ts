// Which extensions a tenant may create, and what a tenant needs beside them.
//
// Tenants are no superusers, so an extension is offered by marking it `trusted` in our own copy of its control file: its script
// then runs as the bootstrap superuser. That is a grant of power, so the list is closed. What is not on it loses its control file.
// Left out on purpose:
//   file_fdw, adminpack, pg_walinspect     read or write files of the host, or WAL byte by byte
//   pageinspect, pg_surgery                take raw pages apart, or rewrite them; a crafted input crashes or corrupts
//   pl*u, pltcl, plperl, *_plperl          untrusted languages are a shell; the trusted ones have a history of not being
//   refint, old_snapshot                   superseded by Postgres itself
//   postgis_raster                         GDAL opens files and URLs

import type { PgMajor } from '../model/compute.ts'
import { tenantGroupRole } from './postgres-service.ts'

type Allowance = {
  /** Oldest major whose script is safe to run in a schema that a tenant controls. */
  since?: PgMajor
  /** Functions that its script keeps from everybody and that a tenant may have. */
  execute?: readonly string[]
  /** The extension brings a foreign data wrapper of this name. */
  foreignDataWrapper?: string
}

const allowed: Readonly<Record<string, Allowance>> = {
  plpgsql: {},

  // contrib
  amcheck: { execute: ['bt_index_check', 'bt_index_parent_check', 'verify_heapam', 'gin_index_check'] },
  autoinc: {},
  bloom: {},
  btree_gin: {},
  btree_gist: {},
  citext: {},
  cube: {},
  dblink: { foreignDataWrapper: 'dblink_fdw' },
  dict_int: {},
  dict_xsyn: {},
  // Before 1.2 its script trusts the schema that cube is in.
  earthdistance: { since: 16 },
  fuzzystrmatch: {},
  hstore: {},
  insert_username: {},
  intagg: {},
  intarray: {},
  isn: {},
  lo: {},
  ltree: {},
  moddatetime: {},
  pg_buffercache: {},
  pg_freespacemap: {},
  pg_prewarm: {},
  pg_stat_statements: { execute: ['pg_stat_statements_reset'] },
  pg_trgm: {},
  pg_visibility: {},
  pgcrypto: {},
  pgrowlocks: {},
  pgstattuple: {},
  postgres_fdw: { foreignDataWrapper: 'postgres_fdw' },
  seg: {},
  sslinfo: {},
  tablefunc: {},
  tcn: {},
  tsm_system_rows: {},
  tsm_system_time: {},
  unaccent: {},
  'uuid-ossp': {},
  xml2: {},

  // ours, in every tree
  pg_session_jwt: {},

  // by others, where an installation has them
  address_standardizer: {},
  address_standardizer_data_us: {},
  h3: {},
  hll: {},
  hypopg: {},
  ip4r: {},
  pg_hashids: {},
  pg_hint_plan: {},
  pg_jsonschema: {},
  pg_graphql: {},
  pg_roaringbitmap: {},
  roaringbitmap: {},
  pg_uuidv7: {},
  pgjwt: {},
  pgrouting: {},
  pgtap: {},
  plpgsql_check: {},
  postgis: {},
  postgis_topology: {},
  prefix: {},
  rum: {},
  semver: {},
  unit: {},
  vector: {},
}

/** Libraries that an endpoint may preload, of those that are installed. */
export const preloadableLibraries = ['pg_stat_statements', 'pg_hint_plan', 'pg_prewarm'] as const
/** Preloaded unless an endpoint says otherwise. */
export const defaultPreloadLibraries = ['pg_stat_statements'] as const satisfies (typeof preloadableLibraries)[number][]

export function isAllowedExtension(name: string, major: PgMajor): boolean {
  const allowance = Object.hasOwn(allowed, name) ? allowed[name] : undefined
  return allowance !== undefined && major >= (allowance.since ?? 14)
}

/** The control file as our tree carries it. */
export function trustedControl(control: string): string {
  const kept = control
    .split('\n')
    .filter((line) => !/^\s*trusted\b/.test(line))
    .join('\n')
    .trimEnd()
  return `${kept}\ntrusted = true\n`
}

/**
 * SQL that is appended to every script of the extension, since any of them may be the last to run; undefined where tenants need
 * nothing more. It finds the functions through the catalog, never by search path, which belongs to the tenant.
 */
export function scriptAddition(name: string): string | undefined {
  const { execute, foreignDataWrapper } = (Object.hasOwn(allowed, name) ? allowed[name] : undefined) ?? {}
  if (execute === undefined && foreignDataWrapper === undefined) return undefined
  const functions = (execute ?? []).map((each) => `'${each}'`).join(', ')
  return `
DO $pgrove$
DECLARE
  granted pg_catalog.text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) '${tenantGroupRole}'::pg_catalog.name) THEN
    RETURN;
  END IF;${
    functions === ''
      ? ''
      : `
  FOR granted IN
    SELECT pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
    FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_depend d ON d.refobjid OPERATOR(pg_catalog.=) e.oid
      AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
      AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
      AND d.deptype OPERATOR(pg_catalog.=) 'e'
    JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) d.objid
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
    WHERE e.extname OPERATOR(pg_catalog.=) '${name}'::pg_catalog.name
      AND p.proname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY[${functions}]::pg_catalog.text[])
  LOOP
    EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO ${tenantGroupRole}', granted);
  END LOOP;`
  }${
    foreignDataWrapper === undefined
      ? ''
      : `
  IF EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper WHERE fdwname OPERATOR(pg_catalog.=) '${foreignDataWrapper}'::pg_catalog.name) THEN
    GRANT USAGE ON FOREIGN DATA WRAPPER ${foreignDataWrapper} TO ${tenantGroupRole};
  END IF;`
  }
END
$pgrove$;
`
}

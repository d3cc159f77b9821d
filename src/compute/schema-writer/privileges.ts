// Privileges as GRANT and REVOKE: what there is, less what an object of its kind has by itself.
//
// Who granted is left out, so what a grantee passed on comes back as granted by the owner.

import type pg from 'pg'
import { authRole, serviceRole } from '../postgres-service.ts'
import { addressOf, ownerName, type SchemaEntry } from './entry.ts'

/** Grantee (quoted, or PUBLIC), privilege, with grant option. */
type Privilege = [grantee: string, privilege: string, grantable: boolean]

/** Null: nobody changed anything. */
export type Acl = Privilege[] | null

/** An aclitem[] expression as `Acl`. */
export const aclOf = (acl: string): string => `
  CASE WHEN ${acl} IS NOT NULL THEN (
    SELECT coalesce(json_agg(json_build_array(
      CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, privilege_type, is_grantable)), '[]')
    FROM aclexplode(${acl})) END`

/** `target` as GRANT names it; `owner` quoted or undefined, as `ownerName` has it. */
export function grantsOf(target: string, owner: string | undefined | null, acl: Acl, initial: Acl): string[] {
  if (acl === null) return []
  const [now, before] = [byGrantee(acl), byGrantee(initial ?? [])]
  // An owner has every privilege that there is for the kind.
  const all = owner ? (before.get(owner)?.size ?? 0) : 0
  const grantees = [...new Set([...now.keys(), ...before.keys()])].toSorted(
    (a, b) => rank(a, owner) - rank(b, owner) || (a < b ? -1 : 1),
  )
  return grantees.flatMap((grantee) => {
    if (grantee === serviceRole || grantee === authRole) return []
    const [has, had] = [
      now.get(grantee) ?? new Map<string, boolean>(),
      before.get(grantee) ?? new Map<string, boolean>(),
    ]
    const kept = [...had].every(([privilege, grantable]) => has.get(privilege) === grantable)
    const added = kept ? [...has].filter(([privilege]) => !had.has(privilege)) : [...has]
    return [
      ...(kept ? [] : [`REVOKE ALL ON ${target} FROM ${grantee};`]),
      ...[false, true].flatMap((grantable) => {
        const names = added.filter((each) => each[1] === grantable).map(([name]) => name)
        if (names.length === 0) return []
        const list = names.length === all ? 'ALL' : names.toSorted().join(', ')
        return [`GRANT ${list} ON ${target} TO ${grantee}${grantable ? ' WITH GRANT OPTION' : ''};`]
      }),
    ]
  })
}

/** A column has no privileges by itself, and its list stands behind each of them. */
export function columnGrantsOf(table: string, column: string, acl: Acl): string[] {
  return grantsOf(table, undefined, acl, null).map((grant) =>
    grant.replace(/^GRANT (.*?) ON /, (_, names: string) => {
      const listed = names.split(', ').map((name) => `${name}(${column})`)
      return `GRANT ${listed.join(', ')} ON `
    }),
  )
}

function byGrantee(acl: Privilege[]): Map<string, Map<string, boolean>> {
  const grouped = new Map<string, Map<string, boolean>>()
  for (const [grantee, privilege, grantable] of acl) {
    const held = grouped.get(grantee) ?? new Map<string, boolean>()
    held.set(privilege, grantable || held.get(privilege) === true)
    grouped.set(grantee, held)
  }
  return grouped
}

function rank(grantee: string, owner: string | undefined | null): number {
  return grantee === 'PUBLIC' ? 0 : grantee === owner ? 1 : 2
}

const objectNames: Readonly<Record<string, string>> = {
  r: 'TABLES',
  S: 'SEQUENCES',
  f: 'FUNCTIONS',
  T: 'TYPES',
  n: 'SCHEMAS',
  L: 'LARGE OBJECTS',
}

type DefaultPrivilegesRow = {
  oid: number
  role: string
  owner: string | null
  schema: string | null
  schemaName: string
  type: string
  acl: Acl
  initial: Acl
}

const defaultPrivilegesQuery = `
  SELECT d.oid, quote_ident(pg_get_userbyid(d.defaclrole)) AS role, ${ownerName('d.defaclrole')} AS owner,
    quote_ident(n.nspname) AS schema, coalesce(n.nspname, '') AS "schemaName", d.defaclobjtype::text AS type,
    ${aclOf('d.defaclacl')} AS acl,
    -- Those of one schema come on top of the others.
    CASE WHEN d.defaclnamespace = 0 THEN ${aclOf(`acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole)`)} END AS initial
  FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace`

/** What the schema's owners give away of objects still to come. */
export async function readDefaultPrivileges(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<DefaultPrivilegesRow>(defaultPrivilegesQuery)
  return rows.flatMap((row): SchemaEntry[] => {
    const objects = objectNames[row.type]
    if (row.owner === null || objects === undefined) return []
    const forWhom = `ALTER DEFAULT PRIVILEGES FOR ROLE ${row.role}${row.schema === null ? '' : ` IN SCHEMA ${row.schema}`}`
    const grants = grantsOf(objects, row.owner, row.acl, row.initial)
    if (grants.length === 0) return []
    return [
      {
        address: addressOf('pg_default_acl', row.oid),
        phase: 'default privileges',
        kind: 'DEFAULT ACL',
        schema: row.schemaName,
        name: `DEFAULT PRIVILEGES FOR ${objects} OF ${row.role}`,
        target: '',
        statements: grants.map((grant) => `${forWhom} ${grant}`),
      },
    ]
  })
}

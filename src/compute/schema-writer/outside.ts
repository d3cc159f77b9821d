// What a database has to do with others: foreign servers and publications. User mappings and subscriptions are left out: what they
// consist of is passwords.

import type pg from 'pg'
import { addressOf, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'
import { aclOf, grantsOf, type Acl } from './privileges.ts'
import { foreignOptionsOf } from './tables.ts'

type ServerRow = {
  oid: number
  name: string
  quoted: string
  owner: string | null
  definition: string
  acl: Acl
  initial: Acl
}

const serversQuery = `
  SELECT s.oid, s.srvname AS name, quote_ident(s.srvname) AS quoted, ${ownerName('s.srvowner')} AS owner,
    concat_ws(' ', 'CREATE SERVER', quote_ident(s.srvname), 'TYPE ' || quote_literal(s.srvtype), 'VERSION ' || quote_literal(s.srvversion),
      'FOREIGN DATA WRAPPER', quote_ident(w.fdwname), 'OPTIONS (' || ${foreignOptionsOf('s.srvoptions')} || ')') AS definition,
    ${aclOf('s.srvacl')} AS acl, ${aclOf(`acldefault('S', s.srvowner)`)} AS initial
  FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE ${madeByTenant('pg_foreign_server', 's.oid')}`

export async function readServers(client: pg.Client): Promise<SchemaEntry[]> {
  const { rows } = await client.query<ServerRow>(serversQuery)
  return rows.map((row) => ({
    address: addressOf('pg_foreign_server', row.oid),
    phase: 'server',
    kind: 'SERVER',
    schema: '',
    name: row.name,
    owner: row.owner ?? undefined,
    target: `SERVER ${row.quoted}`,
    statements: [`${row.definition};`],
    grants: grantsOf(`FOREIGN SERVER ${row.quoted}`, row.owner, row.acl, row.initial),
  }))
}

type PublicationRow = {
  oid: number
  name: string
  quoted: string
  owner: string | null
  allTables: boolean
  publish: string
  viaRoot: boolean
  generated: string | null
  tables: { table: string; columns: string | null; where: string | null }[] | null
  schemas: string[] | null
  addresses: string[] | null
}

/** What newer majors have is read by name, whatever there is. */
const publicationsQuery = (major: number): string => `
  SELECT p.oid, p.pubname AS name, quote_ident(p.pubname) AS quoted, ${ownerName('p.pubowner')} AS owner, p.puballtables AS "allTables",
    concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
      CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END) AS publish, p.pubviaroot AS "viaRoot",
    CASE to_jsonb(p) ->> 'pubgencols' WHEN 's' THEN 'stored' END AS generated,
    (SELECT json_agg(json_build_object('table', r.prrelid::regclass::text,
        'columns', ${
          major < 15
            ? 'NULL'
            : `(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs))`
        },
        'where', ${major < 15 ? 'NULL' : 'pg_get_expr(r.prqual, r.prrelid)'}) ORDER BY r.prrelid::regclass::text COLLATE "C")
      FROM pg_publication_rel r WHERE r.prpubid = p.oid) AS tables,
    ${
      major < 15
        ? 'NULL::text[]'
        : `(SELECT array_agg(quote_ident(n.nspname) ORDER BY n.nspname COLLATE "C") FROM pg_publication_namespace s
            JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid)`
    } AS schemas,
    (SELECT array_agg('pg_class:' || r.prrelid) FROM pg_publication_rel r WHERE r.prpubid = p.oid) AS addresses
  FROM pg_publication p WHERE ${madeByTenant('pg_publication', 'p.oid')}`

export async function readPublications(client: pg.Client, major: number): Promise<SchemaEntry[]> {
  const { rows } = await client.query<PublicationRow>(publicationsQuery(major))
  return rows.map((row) => {
    const objects = [
      ...(row.tables ?? []).map(
        ({ table, columns, where }) =>
          `TABLE ONLY ${table}${columns === null ? '' : ` (${columns})`}${where === null ? '' : ` WHERE (${where})`}`,
      ),
      ...(row.schemas ?? []).map((schema) => `TABLES IN SCHEMA ${schema}`),
    ]
    const options = [
      `publish = '${row.publish}'`,
      ...(row.viaRoot ? ['publish_via_partition_root = true'] : []),
      ...(row.generated === null ? [] : [`publish_generated_columns = ${row.generated}`]),
    ]
    return {
      address: addressOf('pg_publication', row.oid),
      phase: 'publication',
      kind: 'PUBLICATION',
      schema: '',
      name: row.name,
      owner: row.owner ?? undefined,
      target: `PUBLICATION ${row.quoted}`,
      statements: [
        `CREATE PUBLICATION ${row.quoted}${row.allTables ? ' FOR ALL TABLES' : ''} WITH (${options.join(', ')});`,
        ...objects.map((object) => `ALTER PUBLICATION ${row.quoted} ADD ${object};`),
      ],
      after: row.addresses ?? [],
    }
  })
}

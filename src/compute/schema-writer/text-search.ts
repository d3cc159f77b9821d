// Text search: dictionaries and configurations. Parsers and templates are C, which tenants have none of.

import type pg from 'pg'
import { addressOf, inTenantSchema, madeByTenant, ownerName, type SchemaEntry } from './entry.ts'

type Row = { oid: number; schema: string; name: string; qualified: string; owner: string | null; definition: string[] }

const inSchema = (schema: string, name: string): string =>
  `quote_ident(${schema}.nspname) || '.' || quote_ident(${name})`

const dictionariesQuery = `
  SELECT d.oid, n.nspname AS schema, d.dictname AS name, ${inSchema('n', 'd.dictname')} AS qualified, ${ownerName('d.dictowner')} AS owner,
    ARRAY['CREATE TEXT SEARCH DICTIONARY ' || ${inSchema('n', 'd.dictname')} || ' (TEMPLATE = ' || ${inSchema('tn', 't.tmplname')} ||
      coalesce(', ' || d.dictinitoption, '') || ');'] AS definition
  FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace
    JOIN pg_ts_template t ON t.oid = d.dicttemplate JOIN pg_namespace tn ON tn.oid = t.tmplnamespace
  WHERE ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_ts_dict', 'd.oid')}`

const configurationsQuery = `
  SELECT c.oid, n.nspname AS schema, c.cfgname AS name, ${inSchema('n', 'c.cfgname')} AS qualified, ${ownerName('c.cfgowner')} AS owner,
    ARRAY['CREATE TEXT SEARCH CONFIGURATION ' || ${inSchema('n', 'c.cfgname')} || ' (PARSER = ' || ${inSchema('pn', 'p.prsname')} || ');'] ||
    ARRAY(SELECT 'ALTER TEXT SEARCH CONFIGURATION ' || ${inSchema('n', 'c.cfgname')} || ' ADD MAPPING FOR ' ||
        quote_ident((SELECT k.alias FROM ts_token_type(c.cfgparser) k WHERE k.tokid = m.maptokentype)) || ' WITH ' ||
        string_agg(m.mapdict::regdictionary::text, ', ' ORDER BY m.mapseqno) || ';'
      FROM pg_ts_config_map m WHERE m.mapcfg = c.oid GROUP BY m.maptokentype ORDER BY m.maptokentype) AS definition
  FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
    JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_namespace pn ON pn.oid = p.prsnamespace
  WHERE ${inTenantSchema('n.nspname')} AND ${madeByTenant('pg_ts_config', 'c.oid')}`

export async function readTextSearch(client: pg.Client): Promise<SchemaEntry[]> {
  return [
    ...(await read(client, dictionariesQuery, 'pg_ts_dict', 'TEXT SEARCH DICTIONARY')),
    ...(await read(client, configurationsQuery, 'pg_ts_config', 'TEXT SEARCH CONFIGURATION')),
  ]
}

async function read(client: pg.Client, query: string, catalog: string, kind: string): Promise<SchemaEntry[]> {
  const { rows } = await client.query<Row>(query)
  return rows.map(({ oid, schema, name, qualified, owner, definition }) => ({
    address: addressOf(catalog, oid),
    phase: 'text search',
    kind,
    schema,
    name,
    owner: owner ?? undefined,
    target: `${kind} ${qualified}`,
    statements: definition,
  }))
}

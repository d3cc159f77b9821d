// A database's schema as SQL text, written from its catalogs in the manner of pg_dump: for where there is no pg_dump that fits.
//
// Loaded into an empty database by a superuser, it makes one that is written the same. What tenants cannot make, or hardly do, is left
// out: languages, access methods, operator classes and families, transforms, conversions, base types, event triggers, security
// labels; so are subscriptions and user mappings, which hold passwords, and the comment of the database itself.

import type pg from 'pg'
import type { PgMajor } from '../../model/compute.ts'
import type { Comment, SchemaEntry } from './entry.ts'
import { printEntry } from './entry.ts'
import { readAggregates, readCasts, readFunctions, readOperators } from './functions.ts'
import { readIndexes, readIndexParts, readKeys, readStatistics } from './keys.ts'
import { ObjectNeeds } from './needs.ts'
import { readPublications, readServers } from './outside.ts'
import { readDefaultPrivileges } from './privileges.ts'
import { readExtensions, readSchemas } from './schemas.ts'
import { readSequences } from './sequences.ts'
import { readTables } from './tables.ts'
import { readTextSearch } from './text-search.ts'
import { readPolicies, readRules, readTriggers } from './triggers.ts'
import { readCollations, readTypes } from './types.ts'
import { readViews } from './views.ts'

const preamble = `--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
`

const end = `--
-- PostgreSQL database dump complete
--
`

/** `client` is the service role's: names have to resolve in `pg_catalog` only, so that those of others are written in full. */
export async function writeSchema(client: pg.Client, major: PgMajor): Promise<string> {
  // One moment of the catalogs, as far as Postgres' own functions look at that.
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  // Compiling a query over the catalogs takes longer than running it.
  await client.query('SET LOCAL jit = off')
  try {
    const needs = await ObjectNeeds.read(client)
    const entries = needs.inOrder(await readEntries(client, needs, major))
    const comments = await readComments(client, entries)
    const texts = entries
      .filter(isWorthWriting(comments))
      .map((entry) => printEntry(entry, comments.get(entry.address) ?? []))
    return [preamble, ...texts, end].join('\n')
  } finally {
    await client.query('ROLLBACK')
  }
}

async function readEntries(client: pg.Client, needs: ObjectNeeds, major: PgMajor): Promise<SchemaEntry[]> {
  return [
    ...(await readSchemas(client)),
    ...(await readExtensions(client)),
    ...(await readCollations(client)),
    ...(await readTypes(client)),
    ...(await readFunctions(client)),
    ...(await readAggregates(client)),
    ...(await readOperators(client)),
    ...(await readCasts(client)),
    ...(await readTextSearch(client)),
    ...(await readServers(client)),
    ...(await readTables(client, needs.isApart)),
    ...(await readSequences(client)),
    ...(await readViews(client)),
    ...(await readKeys(client)),
    ...(await readIndexes(client)),
    ...(await readIndexParts(client)),
    ...(await readStatistics(client)),
    ...(await readRules(client)),
    ...(await readTriggers(client)),
    ...(await readPolicies(client)),
    ...(await readPublications(client, major)),
    ...(await readDefaultPrivileges(client)),
  ]
}

/** `public` is there in every database: only what was changed about it is said. */
function isWorthWriting(comments: ReadonlyMap<string, Comment[]>): (entry: SchemaEntry) => boolean {
  return ({ address, statements, owner, grants = [] }) =>
    statements.length > 0 || owner !== undefined || grants.length > 0 || comments.has(address)
}

type CommentRow = {
  address: string
  part: string | null
  check: { address: string; target: string } | null
  text: string
}

const commentsQuery = `
  SELECT address, part, "check", text FROM (SELECT d.objsubid, d.classoid::regclass || ':' || d.objoid AS address,
    CASE WHEN d.objsubid > 0 AND d.classoid = 'pg_class'::regclass THEN 'COLUMN ' || d.objoid::regclass || '.' ||
      (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = d.objoid AND a.attnum = d.objsubid) END AS part,
    CASE WHEN d.classoid = 'pg_constraint'::regclass THEN (
      SELECT CASE WHEN k.contypid <> 0 THEN json_build_object('address', 'pg_type:' || k.contypid,
          'target', 'CONSTRAINT ' || quote_ident(k.conname) || ' ON DOMAIN ' || format_type(k.contypid, NULL))
        ELSE json_build_object('address', 'pg_class:' || k.conrelid,
          'target', 'CONSTRAINT ' || quote_ident(k.conname) || ' ON ' || k.conrelid::regclass) END
      FROM pg_constraint k WHERE k.oid = d.objoid) END AS check,
    d.description AS text
  FROM pg_description d
  WHERE (d.objoid >= 16384 OR d.classoid = 'pg_namespace'::regclass AND d.description <> 'standard public schema')
    AND d.classoid <> 'pg_extension'::regclass) c
  -- The object's own, its columns', its checks'.
  ORDER BY c.check ->> 'target' COLLATE "C" NULLS FIRST, c.objsubid`

/** By the address of the object behind which they are written. */
async function readComments(client: pg.Client, entries: readonly SchemaEntry[]): Promise<Map<string, Comment[]>> {
  const written = new Map(entries.map((entry) => [entry.address, entry]))
  const { rows } = await client.query<CommentRow>(commentsQuery)
  const comments = new Map<string, Comment[]>()
  const add = (entry: SchemaEntry | undefined, target: string, text: string): void => {
    if (!entry) return
    const known = comments.get(entry.address)
    if (known) known.push({ target, text })
    else comments.set(entry.address, [{ target, text }])
  }
  const compositeOf = await compositeTypes(client)
  for (const { address, part, check, text } of rows) {
    const entry = written.get(compositeOf.get(address) ?? address)
    if (part !== null) add(entry, part, text)
    else if (entry && !compositeOf.has(address)) add(entry, entry.target, text)
    // A check that stands inside its table or domain.
    else if (check !== null) add(written.get(check.address), check.target, text)
  }
  return comments
}

/** A composite type's attributes are those of a relation that nobody sees. */
async function compositeTypes(client: pg.Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ relation: string; type: string }>(
    `SELECT 'pg_class:' || c.oid AS relation, 'pg_type:' || c.reltype AS type FROM pg_class c WHERE c.relkind = 'c' AND c.oid >= 16384`,
  )
  return new Map(rows.map(({ relation, type }) => [relation, type]))
}

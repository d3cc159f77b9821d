// The schema of a database as SQL text, and as the tables that the API lists.
//
// Written by pg_dump where there is one of the server's major or a newer one, else from the catalogs (`schema-writer/`). Which of them
// it is depends on the machine and the major alone, so two branches of a project are always written by the same.

import type pg from 'pg'
import type { Owner } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { dumpSchema, schemaLocked } from './pg-dump.ts'
import { sqlState } from './roles.ts'
import { writeSchema } from './schema-writer/write.ts'
import type { ServiceAddress } from './service-client.ts'

export type SchemaSource = ServiceAddress & { owner: Owner | undefined }

/** `client`: in the database that `source` names. Throws `unprocessable` for a schema that is too large, `locked` where a transaction holds it. */
export async function readSchemaText(
  client: pg.Client,
  source: SchemaSource,
  pgDump: string | undefined,
): Promise<string> {
  try {
    await assertReadable(client)
    return pgDump === undefined ? await writeSchema(client, source.major) : await dumpSchema(pgDump, source)
  } catch (error) {
    // lock_not_available
    throw sqlState(error) === '55P03' ? schemaLocked(error) : error
  }
}

const mostRelations = 50_000
const mostCatalogBytes = 256 * 1024 * 1024

/** The text is held in memory by a process that serves everybody. */
async function assertReadable(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ relations: number; bytes: string }>(`
    SELECT (SELECT count(*) FROM pg_class)::int AS relations,
      (SELECT sum(pg_total_relation_size(c)) FROM unnest(
        '{pg_proc,pg_rewrite,pg_description,pg_attrdef,pg_constraint,pg_trigger,pg_policy,pg_enum}'::regclass[]) c)::text AS bytes`)
  const { relations, bytes } = rows[0] ?? { relations: 0, bytes: '0' }
  if (relations > mostRelations || Number(bytes) > mostCatalogBytes) {
    throw new AppError(
      'unprocessable',
      `the schema is too large to be read at once (${relations} relations, ${bytes} bytes); use pg_dump on a connection to the database`,
    )
  }
}

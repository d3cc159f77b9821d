import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { isAppError } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { dumpSchema, findPgDump } from './pg-dump.ts'
import { readSchemaTables } from './schema-tables.ts'
import { readSchemaText } from './schema-text.ts'
import type { Supervisor } from './supervisor.ts'
import { TestComputes, testInstallations, testOwner } from './test-computes.ts'
import { richSchema } from './test-schema.ts'

for (const [major, installation] of testInstallations) {
  describe(`the schema of a database of Postgres ${major}`, () => {
    let computes: TestComputes
    let supervisor: Supervisor
    let id: TimelineId
    let tenant: pg.Client
    let pgDump: string | undefined
    before(async () => {
      computes = await TestComputes.open(installation)
      supervisor = computes.supervisor()
      id = await computes.claimed(supervisor, { logicalReplication: true })
      tenant = await computes.tenant(id)
      const service = await computes.service(supervisor, id, 'app')
      if (major < 16) await service.query('CREATE ROLE reader; CREATE ROLE "Odd role"')
      const schema = richSchema(major)
      await tenant.query(major < 16 ? schema.replaceAll(/^CREATE ROLE .*$/gm, '') : schema)
      await service.query('CREATE DATABASE loaded OWNER app')
      pgDump = await findPgDump(major, [computes.tree.binDir], testOwner)
    })
    after(async () => await computes[Symbol.asyncDispose]())

    const read = async (database: string, program: string | undefined): Promise<string> => {
      const client = await computes.service(supervisor, id, database)
      return await readSchemaText(client, supervisor.service(id, database), program)
    }
    const written = (database: string): Promise<string> => read(database, undefined)

    test('written from the catalogs and loaded into an empty database, it is written the same', async () => {
      const text = await written('app')
      const loading = await computes.service(supervisor, id, 'loaded')
      await loading.query(text)
      assert.equal(await written('loaded'), text)
    })

    test('what was loaded is the same to pg_dump', { skip: !hasPgDump() }, async () => {
      assert.ok(pgDump)
      const [original, loaded] = [supervisor.service(id, 'app'), supervisor.service(id, 'loaded')]
      assert.equal(await dumpSchema(pgDump, loaded), await dumpSchema(pgDump, original))
    })

    test('by pg_dump it changes only with the schema, and shows no password', { skip: !hasPgDump() }, async () => {
      const text = await read('app', pgDump)
      assert.equal(await read('app', pgDump), text)
      assert.match(text, /^CREATE TABLE shop\.customers \($/m)
      assert.match(text, /OWNER TO app;/)
      assert.doesNotMatch(text, /^\\|pgrove|USER MAPPING|secret|neon_superuser/m)
      assert.match(text, /-- \\restrict nothing/)
      assert.match(text, /\n--\n-- PostgreSQL database dump complete\n--\n$/)
    })

    test('shows owners and privileges of tenants, and nothing of ours', async () => {
      const text = await written('app')
      assert.match(text, /^ALTER TABLE shop\.customers OWNER TO app;$/m)
      assert.match(text, /^GRANT UPDATE\(name\) ON TABLE shop\.customers TO "Odd role";$/m)
      assert.doesNotMatch(text, /pgrove|USER MAPPING|secret|neon_superuser/)
    })

    test('waits no longer for a transaction than it may', async () => {
      const client = await computes.service(supervisor, id, 'app')
      await client.query(`SET lock_timeout = '100ms'`)
      await tenant.query('BEGIN; LOCK TABLE shop.customers IN ACCESS EXCLUSIVE MODE')
      const reading = readSchemaText(client, supervisor.service(id, 'app'), undefined)
      await assert.rejects(reading, (error) => isAppError(error, 'locked'))
      await tenant.query('ROLLBACK')
    })

    test('as tables it has columns and keys by their own names', async () => {
      const tables = await readSchemaTables(await computes.service(supervisor, id, 'app'))
      const customers = tables.find(({ name }) => name === 'customers')
      assert.deepEqual(customers?.columns.slice(4, 7), [
        { name: 'Odd column', type: 'numeric(10,2)[]', nullable: true, generated: false },
        { name: 'at', type: 'timestamp with time zone', nullable: false, generated: false },
        { name: 'full_name', type: 'text', nullable: true, generated: true },
      ])
      const keys = tables.flatMap(({ name, constraints }) =>
        constraints.map(({ type, columns }) => ({ name, type, columns })),
      )
      assert.deepEqual(
        keys.filter(({ name }) => ['customers', 'event_notes'].includes(name)),
        [
          { name: 'event_notes', type: 'foreign_key', columns: ['id', 'at', 'kind'] },
          { name: 'customers', type: 'primary_key', columns: ['id'] },
          { name: 'customers', type: 'unique', columns: ['email'] },
        ],
      )
    })
  })

  function hasPgDump(): boolean {
    return installation.source !== 'npm'
  }
}

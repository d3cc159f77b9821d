import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { mountedFolder, obstacleTo } from '../../test/storage/file-systems.ts'
import { skipUnless } from '../../test/support/programs.ts'
import { readControlFile, walSegmentName, walSegmentNames } from './data-dir.ts'
import { serviceRole, tenantGroupRole } from './postgres-service.ts'
import { fillTemplate } from './template.ts'
import { servicePassword, TestComputes, testInstallations, testOwner } from './test-computes.ts'
import type { Lsn } from '../model/lsn.ts'

test('segments of the log are named as Postgres names them', () => {
  assert.equal(walSegmentName(1, 0x12345678n as Lsn), '000000010000000000000123')
  assert.equal(walSegmentName(3, 0x2_fff0_0001n as Lsn), '000000030000000200000FFF')
  assert.deepEqual(walSegmentNames(1, 0x100010n as Lsn, 0x200000n as Lsn), ['000000010000000000000001'])
  assert.deepEqual(walSegmentNames(1, 0x100010n as Lsn, 0x200001n as Lsn), [
    '000000010000000000000001',
    '000000010000000000000002',
  ])
  assert.deepEqual(walSegmentNames(1, 0xfff00010n as Lsn, 0x1_0000_0010n as Lsn), [
    '000000010000000000000FFF',
    '000000010000000100000000',
  ])
})

for (const [major, installation] of testInstallations) {
  describe(`the template of Postgres ${major}`, () => {
    let computes: TestComputes
    before(async () => {
      computes = await TestComputes.open(installation)
    })
    after(async () => await computes[Symbol.asyncDispose]())

    test('is small, cleanly shut down, and holds neither configuration nor password', async () => {
      const dir = computes.templateDir
      const { state, checkpointLsn, tli } = await readControlFile(dir)
      assert.equal(state, 'shut_down')
      const entries = await readdir(dir, { recursive: true, withFileTypes: true })
      const files = entries.filter((entry) => entry.isFile())
      assert.ok(files.length < 1000, `${files.length} files`)
      assert.deepEqual(
        files.filter((file) => file.parentPath.endsWith('pg_wal')).map((file) => file.name),
        [walSegmentName(tli, checkpointLsn)],
      )
      for (const file of files) {
        assert.ok(!/^(postgresql|pg_hba|pg_ident)\.conf$/.test(file.name), file.name)
        const path = join(file.parentPath, file.name)
        const { uid, mode } = await stat(path)
        if (testOwner) assert.equal(uid, testOwner.uid)
        assert.equal(mode & 0o077, 0, path)
        assert.ok(!(await readFile(path)).includes(servicePassword), path)
      }
      assert.deepEqual(
        (await readdir(computes.root)).filter((name) => name.includes('initdb')),
        [],
      )
    })

    test('has what a claim needs, in UTF-8, and is whole although its maps are left out', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.timeline()
      await supervisor.ensureRunning(computes.spec(id))
      const client = await computes.service(supervisor, id)
      const { rows: databases } = await client.query<{ name: string; encoding: string; ctype: string }>(
        'SELECT datname AS name, pg_encoding_to_char(encoding) AS encoding, datctype AS ctype FROM pg_database ORDER BY 1',
      )
      assert.deepEqual(
        databases.map(({ name }) => name),
        ['neondb', 'postgres', 'template0', 'template1'],
      )
      for (const { encoding } of databases) assert.equal(encoding, 'UTF8')
      const { rows: roles } = await client.query<{ name: string; superuser: boolean; login: boolean }>(
        `SELECT rolname AS name, rolsuper AS superuser, rolcanlogin AS login FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`,
      )
      assert.deepEqual(roles, [
        { name: tenantGroupRole, superuser: false, login: false },
        { name: serviceRole, superuser: true, login: true },
      ])
      const { rows: groups } = await client.query<{ name: string }>(
        `SELECT g.rolname AS name FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
         WHERE r.rolname = '${tenantGroupRole}' ORDER BY 1`,
      )
      const names = groups.map(({ name }) => name)
      assert.deepEqual(names, [
        ...(major >= 16 ? ['pg_create_subscription'] : []),
        'pg_monitor',
        'pg_read_all_data',
        'pg_signal_backend',
        'pg_write_all_data',
      ])
      const inside = await computes.service(supervisor, id, 'neondb')
      await inside.query('CREATE EXTENSION amcheck')
      await inside.query(
        `SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relkind = 'i'`,
      )
      await inside.query('VACUUM FREEZE')
      await inside.query('SELECT count(*) FROM pg_attribute')
    })

    test('may be a volume of its own', skipUnless(obstacleTo('xfs')), async () => {
      await using volume = mountedFolder('xfs')
      const { files } = await fillTemplate(computes.tree, volume.folder, { owner: testOwner, servicePassword })
      assert.ok(files > 500)
      assert.equal((await readControlFile(volume.folder)).state, 'shut_down')
    })

    test('is made anew over what a crash left', async () => {
      const dir = join(computes.root, 'again')
      await mkdir(dir)
      await writeFile(join(dir, 'PG_VERSION'), 'half')
      await mkdir(join(`${dir}.initdb`, 'data'), { recursive: true })
      const { files } = await fillTemplate(computes.tree, dir, { owner: testOwner, servicePassword })
      assert.ok(files > 500)
      assert.equal((await readControlFile(dir)).state, 'shut_down')
    })
  })
}

// The machine loses power: of what was acknowledged just before, everything is there, though nothing had the time to be written back.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountedFolder, obstacleTo } from '../storage/file-systems.ts'
import { call, createBranch, createProject, settled, uriOf, type Made } from '../support/faults.ts'
import { assertNothingLeft } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { skipUnless } from '../support/programs.ts'
import { destroyHome, startServer } from '../support/server.ts'

const cuts = [
  ['was taken from the warm pool', 'reflink', '1,2'],
  ['was copied for it', 'copy', '0,0'],
] as const

for (const [what, storage, pool] of cuts) {
  test(
    `a power cut right after a project was made that ${what} (${storage})`,
    skipUnless(obstacleTo('xfs')),
    async () => {
      const env = { PGROVE_WARM_POOL: pool, PGROVE_STORAGE: storage }
      await using disk = mountedFolder('xfs', { mb: 1024 })
      const home = join(disk.folder, 'home')
      const server = await startServer({ home, keepHome: true, env })
      let made: Made
      let child: Made
      let cut: ReturnType<typeof disk.afterPowerCut>
      try {
        made = await createProject(server, 'just made')
        await query(made.uri, 'create table kept as select n from generate_series(1, 1000) n')
        child = await createBranch(server, made, 'just branched')
        const childUri = await uriOf(server, made.projectId, child.branchId)
        await query(childUri, 'insert into kept values (1001)')
        await call(server, 'POST', `/projects/${made.projectId}/branches/${made.branchId}/roles`, {
          role: { name: 'new' },
        })
        await settled(server)
        await query(made.uri, 'insert into kept select n from generate_series(1001, 1500) n')
        cut = disk.afterPowerCut()
      } finally {
        await server.kill()
        await destroyHome(home)
      }
      await using after = cut
      const later = join(after.folder, 'home')
      try {
        await using again = await startServer({ home: later, keepHome: true, env })
        await settled(again)
        const count = async (branchId: string): Promise<number> => {
          const uri = await uriOf(again, made.projectId, branchId)
          return Number((await query<{ n: string }>(uri, 'select count(*) as n from kept'))[0]?.n)
        }
        assert.equal(await count(made.branchId), 1500)
        assert.equal(await count(child.branchId), 1001)
        const uri = await uriOf(again, made.projectId)
        assert.equal((await query(uri, `select from pg_roles where rolname = 'new'`)).length, 1)
        // Every page of every table and index, not only those that were asked for.
        const { length } = await query(
          uri,
          `select pg_relation_size(oid) from pg_class where relkind in ('r', 'i', 't')`,
        )
        assert.ok(length > 200)
        await query(uri, 'vacuum full')
        await assertNothingLeft(again)
      } finally {
        await destroyHome(later)
      }
    },
  )
}

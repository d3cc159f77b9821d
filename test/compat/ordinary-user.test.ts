// pgrove as somebody who is not root, in the home folder that it chooses itself.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chown, mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { processesBelow } from '../../src/compute/process.ts'
import { run } from '../../src/lib/run.ts'
import { obstacleWithout, skipUnless } from '../support/programs.ts'
import { psql } from '../support/psql.ts'
import { apiClient, destroyHome, makeHome, packageRoot, startServer, waitForOperations } from '../support/server.ts'

const obstacle = process.getuid?.() === 0 ? obstacleWithout('psql') : 'needs root, to be somebody else'

test('an ordinary user starts pgrove, works, stops it, and finds everything again', skipUnless(obstacle), async () => {
  const owner = await userNobody()
  const userHome = await makeHome('pgrove-user-')
  const home = join(userHome, '.pgrove')
  try {
    await chown(userHome, owner.uid, owner.gid)
    const options = {
      home,
      keepHome: true,
      owner,
      package: await packageFor(owner, join(userHome, 'pgrove')),
      env: { HOME: userHome, PGROVE_HOME: '' },
    }
    let uri: string
    {
      await using server = await startServer(options)
      const { data } = await apiClient(server).createProject({ project: { name: 'mine' } })
      uri = data.connection_uris[0]?.connection_uri ?? ''
      await waitForOperations(server, data.operations)
      assert.equal(await psql(uri, ['-c', "create table kept as select 'still here' as what"]), 'SELECT 1\n')

      const branch = await apiClient(server).createProjectBranch(data.project.id, { branch: { name: 'dev' } })
      await waitForOperations(server, branch.data.operations)

      const pids = await processesBelow(home)
      const owners = await Promise.all(pids.map(async (pid) => (await stat(`/proc/${pid}`)).uid))
      assert.deepEqual(new Set(owners), new Set([owner.uid]))
      await server.stop()
      assert.equal(await server.exited, 0)
    }
    assert.deepEqual(await processesBelow(home), [])
    assert.equal((await run('find', [userHome, '!', '-user', String(owner.uid)])).stdout, '')
    await using server = await startServer(options)
    const now = uri.replace(/:\d+\//, `:${server.pgPort}/`)
    assert.equal(await psql(now, ['-c', 'select what from kept']), 'still here\n')
  } finally {
    await destroyHome(home)
    await rm(userHome, { recursive: true, force: true })
  }
})

async function userNobody(): Promise<{ uid: number; gid: number }> {
  const [uid, gid] = await Promise.all(['-u', '-g'].map((of) => run('id', [of, 'nobody'])))
  return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) }
}

/** This package where the user may read it; else, as where root has cloned it into its own home, a copy of it. */
async function packageFor(owner: { uid: number; gid: number }, place: string): Promise<string> {
  if (spawnSync('test', ['-x', join(packageRoot, 'bin', 'pgrove')], owner).status === 0) return packageRoot
  await mkdir(place)
  const parts = ['bin', 'src', 'package.json', 'node_modules'].map((part) => join(packageRoot, part))
  await run('cp', ['-r', '-P', '--reflink=auto', ...parts, place])
  await run('chown', ['-R', '-h', `${owner.uid}:${owner.gid}`, place])
  return place
}

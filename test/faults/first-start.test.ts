// The very first start is killed over and over, wherever it has got to; and `reset` takes everything away again, of a home in whatever state.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { processesBelow } from '../../src/compute/process.ts'
import { loopDevicesUnder, mountsUnder, obstacleTo } from '../storage/file-systems.ts'
import { call, createBranch, createProject, settled, uriOf } from '../support/faults.ts'
import { assertNothingLeft, pgroveProcesses } from '../support/leftovers.ts'
import { query } from '../support/postgres.ts'
import { skipUnless } from '../support/programs.ts'
import { destroyHome, makeHome, packageRoot, request, startServer } from '../support/server.ts'

const storage = obstacleTo('xfs') === undefined ? 'pool' : 'copy'

test(`a first start that is killed again and again ends in one that works (${storage})`, async () => {
  const home = await makeHome('pgrove-faults-')
  const env = { PGROVE_STORAGE: storage, PGROVE_WARM_POOL: '1,1' }
  try {
    // Each gets a little further than the one before.
    for (let ms = 250; ; ms *= 1.5) {
      const outcome = await startAndKillAfter(home, env, ms)
      if (outcome === 'was ready') break
      assert.equal(outcome, 'killed', 'a start after a killed one does not fail')
    }
    await using server = await startServer({ home, keepHome: true, env })
    await settled(server)
    const made = await createProject(server, 'first')
    assert.deepEqual(await query(made.uri, 'select 1 as one'), [{ one: 1 }])
    await assertNothingLeft(server)
  } finally {
    await destroyHome(home)
  }
})

describe('reset', () => {
  test('removes everything: databases, mounts, processes', skipUnless(obstacleTo('xfs')), async () => {
    const home = await makeHome('pgrove-faults-')
    try {
      const server = await startServer({ home, keepHome: true, env: { PGROVE_STORAGE: 'pool' } })
      const made = await createProject(server, 'doomed')
      await createBranch(server, made, 'child')
      assert.deepEqual(reset(home, '--yes'), {
        status: 1,
        said: `pgrove: pgrove is running on ${home} (process ${server.pid}); stop it first\n`,
      })
      assert.equal((await request(server, 'GET', `/projects/${made.projectId}`)).status, 200)
      // Not stopped but killed: the databases still run, and the pool is still mounted.
      await server.kill()
      assert.ok((await processesBelow(home)).length > 0)
      assert.ok(mountsUnder(home).length > 0)

      const unconfirmed = reset(home)
      assert.equal(unconfirmed.status, 1)
      assert.match(
        unconfirmed.said,
        new RegExp(`removes every database below ${home} for good; run .pgrove reset --yes.`),
      )
      assert.ok((await processesBelow(home)).length > 0)

      assert.equal(reset(home, '--yes').status, 0)
      assert.deepEqual(await readdir(home), [])
      assert.deepEqual([await processesBelow(home), mountsUnder(home), loopDevicesUnder(home)], [[], [], []])
      assert.equal(reset(home, '--yes').status, 0, 'and again')
      await using again = await startServer({ home, keepHome: true, env: { PGROVE_STORAGE: 'copy' } })
      assert.equal((await request(again, 'GET', `/projects/${made.projectId}`)).status, 404)
    } finally {
      await destroyHome(home)
    }
  })

  test('leaves alone what is no home of pgrove', async () => {
    const folder = await makeHome('pgrove-faults-')
    try {
      await writeFile(join(folder, 'thesis.txt'), 'years of work')
      const { status, said } = reset(folder, '--yes')
      assert.equal(status, 1)
      assert.match(said, /does not look like a home folder of pgrove; nothing was removed/)
      assert.deepEqual(await readdir(folder), ['thesis.txt'])
    } finally {
      await destroyHome(folder)
    }
  })
})

test('stop leaves no process and no mount, and start finds the pool again', skipUnless(obstacleTo('xfs')), async () => {
  const home = await makeHome('pgrove-faults-')
  const env = { PGROVE_STORAGE: 'pool', PGROVE_WARM_POOL: '1,2' }
  try {
    const server = await startServer({ home, keepHome: true, env })
    const made = await createProject(server, 'kept')
    await query(made.uri, 'create table kept as select 1 as n')
    // Requests and connections are under way.
    const busy = [
      request(server, 'POST', '/projects', { project: { name: 'late' } }).catch(() => {}),
      query(made.uri, 'select pg_sleep(30)').catch(() => {}),
    ]
    await server.stop()
    assert.equal(await server.exited, 0)
    await Promise.all(busy)
    assert.deepEqual([await processesBelow(home), await pgroveProcesses(home)], [[], []])
    assert.deepEqual([mountsUnder(home), loopDevicesUnder(home)], [[], []])
    await using again = await startServer({ home, keepHome: true, env })
    await settled(again)
    assert.deepEqual(await query(await uriOf(again, made.projectId), 'select n from kept'), [{ n: 1 }])
    await call(again, 'DELETE', `/projects/${made.projectId}`)
    await settled(again)
    await assertNothingLeft(again)
  } finally {
    await destroyHome(home)
  }
})

/** `killed`, or `was ready` before that; else why it ended by itself. */
async function startAndKillAfter(home: string, env: Record<string, string>, ms: number): Promise<string> {
  const stop = new AbortController()
  const started = startServer({ home, keepHome: true, env }).then(
    async (server) => {
      stop.abort()
      await server.kill()
      return 'was ready'
    },
    (error: unknown) => (stop.signal.aborted ? 'killed' : String(error)),
  )
  await delay(ms, undefined, { signal: stop.signal }).catch(() => {})
  if (!stop.signal.aborted) {
    // Killed by us: what it says of its end is no news.
    stop.abort()
    for (const { pid } of (await pgroveProcesses(home)).toSorted((a, b) => a.pid - b.pid)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // Gone already.
      }
    }
  }
  return await started
}

function reset(home: string, ...args: string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(join(packageRoot, 'bin', 'pgrove'), ['reset', ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', PGROVE_HOME: home },
    encoding: 'utf8',
  })
  return { status, said: status === 0 ? stdout : stderr }
}

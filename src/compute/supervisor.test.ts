import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setFailpoints } from '../lib/failpoint.ts'
import { AppError, isAppError } from '../model/errors.ts'
import { syncDataDir } from './data-dir.ts'
import { isAlive, poll } from './process.ts'
import { TestComputes, testInstallations, testOwner } from './test-computes.ts'

const until = async (what: string, ask: () => boolean | Promise<boolean>): Promise<void> => {
  await poll(async () => ((await ask()) ? true : undefined), {
    everyMs: 10,
    timeoutMs: 20_000,
    timedOut: () => new AppError('internal', `never: ${what}`),
  })
}

for (const [major, installation] of testInstallations) {
  describe(`supervising Postgres ${major}`, () => {
    let computes: TestComputes
    before(async () => {
      computes = await TestComputes.open(installation)
    })
    after(async () => await computes[Symbol.asyncDispose]())

    test('a compute starts, answers, stops, and starts again', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.claimed(supervisor)
      assert.equal(supervisor.state(id).kind, 'running')
      assert.deepEqual(supervisor.running(), [id])
      const tenant = await computes.tenant(id)
      await tenant.query('CREATE TABLE t AS SELECT 1 AS a')
      await supervisor.ensureStopped(id, 'fast')
      assert.equal(supervisor.state(id).kind, 'stopped')
      await supervisor.ensureStopped(id, 'fast')
      const spec = await supervisor.readSpec(id)
      assert.deepEqual(spec, computes.spec(id))
      await supervisor.ensureRunning(computes.spec(id))
      assert.equal((await (await computes.tenant(id)).query('SELECT a FROM t')).rowCount, 1)
    })

    test('many callers share one start, and a start waits for a stop', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.timeline()
      const started = await Promise.all(Array.from({ length: 20 }, () => supervisor.ensureRunning(computes.spec(id))))
      assert.equal(new Set(started.map((each) => each.pid)).size, 1)
      const [, again] = await Promise.all([
        supervisor.ensureStopped(id, 'fast'),
        supervisor.ensureRunning(computes.spec(id)),
      ])
      assert.notEqual(again.generation, started[0]?.generation)
      assert.ok(isAlive(again.pid))
    })

    test('another supervisor adopts what runs, as the same generation, and sees it end', async () => {
      const first = computes.supervisor()
      const id = await computes.claimed(first)
      const started = await first.ensureRunning(computes.spec(id))
      const second = computes.supervisor()
      await second.adopt()
      assert.deepEqual(second.address(id), started)
      const exits: boolean[] = []
      second.onExit((timeline, expected) => {
        if (timeline === id) exits.push(expected)
      })
      process.kill(started.pid, 'SIGKILL')
      await until('the exit is seen', () => exits.length > 0)
      assert.deepEqual(exits, [false])
      assert.equal(second.state(id).kind, 'failed')
      const next = await second.ensureRunning(computes.spec(id))
      assert.notEqual(next.generation, started.generation)
      await second.ensureStopped(id, 'fast')
      await until('the expected exit is told', () => exits.length > 1)
      assert.deepEqual(exits, [false, true])
    })

    test('nothing is adopted from a lock file whose pid is now somebody else', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.claimed(supervisor)
      const { pid } = await supervisor.ensureRunning(computes.spec(id))
      const lockFile = join(computes.dir(id), 'postmaster.pid')
      const lock = await readFile(lockFile, 'utf8')
      process.kill(pid, 'SIGKILL')
      await until('it is gone', () => supervisor.state(id).kind === 'failed')
      // A sibling under the same uid, which Postgres would otherwise take for its rival.
      const sibling = await computes.claimed(supervisor)
      const stranger = await supervisor.ensureRunning(computes.spec(sibling))
      await writeFile(lockFile, lock.replace(/^\d+/, String(stranger.pid)))
      const other = computes.supervisor()
      await other.adopt()
      assert.equal(other.state(id).kind, 'stopped')
      const again = await other.ensureRunning(computes.spec(id))
      assert.ok(isAlive(again.pid))
      assert.equal(supervisor.state(sibling).kind, 'running')
    })

    test('acknowledged commits survive kill -9 under load', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.claimed(supervisor)
      const { pid } = await supervisor.ensureRunning(computes.spec(id))
      await (await computes.tenant(id)).query('CREATE TABLE t (a int PRIMARY KEY)')
      let acknowledged = 0
      const tenants = await Promise.all(Array.from({ length: 4 }, () => computes.tenant(id)))
      const writers = tenants.map(async (tenant, writer) => {
        for (let i = 0; ; i++) {
          try {
            await tenant.query('INSERT INTO t VALUES ($1)', [i * 4 + writer])
            acknowledged++
          } catch {
            return
          }
          if (acknowledged === 200) process.kill(pid, 'SIGKILL')
        }
      })
      await Promise.all(writers)
      await supervisor.ensureRunning(computes.spec(id))
      const { rows } = await (await computes.tenant(id)).query<{ n: number }>('SELECT count(*)::int AS n FROM t')
      assert.ok((rows[0]?.n ?? 0) >= acknowledged, `${rows[0]?.n} rows, ${acknowledged} acknowledged`)
    })

    test('a start that fails says why, and the next one may succeed', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.timeline()
      const version = join(computes.dir(id), 'PG_VERSION')
      const content = await readFile(version, 'utf8')
      await writeFile(version, '9.6\n')
      await assert.rejects(supervisor.ensureRunning(computes.spec(id)), (error) => {
        assert.ok(isAppError(error, 'compute_start_failed'))
        assert.match(String(error.cause), /incompatible/)
        return true
      })
      assert.equal(supervisor.state(id).kind, 'failed')
      await writeFile(version, content)
      await supervisor.ensureRunning(computes.spec(id))
    })

    test('a start that is interrupted leaves no process, and repeats', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.timeline()
      for (const name of ['compute.start.spawned', 'compute.start.ready']) {
        setFailpoints(`${name}=error`, [])
        try {
          await assert.rejects(supervisor.ensureRunning(computes.spec(id)), /failpoint/)
        } finally {
          setFailpoints('', [])
        }
        await supervisor.ensureRunning(computes.spec(id))
        await supervisor.ensureStopped(id, 'immediate')
      }
    })

    test('a fresh compute is made durable, and only then taken for one', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.timeline()
      const setting = async (): Promise<string | undefined> => {
        const client = await computes.service(supervisor, id)
        const { rows } = await client.query<{ fsync: string }>('SHOW fsync')
        await client.end()
        return rows[0]?.fsync
      }
      await supervisor.ensureRunning(computes.spec(id), { fresh: true })
      assert.equal(await setting(), 'off')
      await assert.rejects(supervisor.ensureRunning(computes.spec(id)), /never made durable/)
      const order: (string | undefined)[] = []
      await supervisor.makeDurable(id, async () => {
        order.push(await setting())
        await syncDataDir(computes.dir(id))
      })
      assert.deepEqual(order, ['on'])
      await supervisor.ensureRunning(computes.spec(id))
      await supervisor.makeDurable(id, () => assert.fail('once is enough'))
    })

    test('settings that need no restart are taken while it runs', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.claimed(supervisor)
      assert.equal(await supervisor.reconfigure(computes.spec(id, { pgSettings: { work_mem: '8MB' } })), 'reloaded')
      const show = async (): Promise<string | undefined> => {
        const tenant = await computes.tenant(id)
        return (await tenant.query<{ work_mem: string }>('SHOW work_mem')).rows[0]?.work_mem
      }
      assert.equal(await show(), '8MB')
      assert.equal(
        await supervisor.reconfigure(computes.spec(id, { minCu: 1, pgSettings: { work_mem: '16MB' } })),
        'restart_needed',
      )
      assert.equal(await show(), '8MB')
      const spec = await supervisor.readSpec(id)
      assert.equal(spec?.minCu, 1)
      await supervisor.ensureStopped(id, 'fast')
      await supervisor.ensureRunning(spec ?? assert.fail())
      assert.equal(await show(), '16MB')
    })

    test('who holds a timeline keeps it from being woken', async () => {
      const supervisor = computes.supervisor()
      const id = await computes.timeline()
      const order: string[] = []
      const held = supervisor.withTimeline(id, 'copy', async () => {
        await computes.copy(computes.dir(id), computes.dir(computes.emptyTimeline()))
        order.push('copied')
      })
      await Promise.all([held, supervisor.ensureRunning(computes.spec(id)).then(() => order.push('woken'))])
      assert.deepEqual(order, ['copied', 'woken'])
      const impatient = computes.supervisor({ lockTimeoutMs: 20 })
      const { promise, resolve } = Promise.withResolvers<void>()
      const holding = impatient.withTimeline(id, 'a long copy', () => promise)
      await assert.rejects(
        impatient.ensureStopped(id, 'fast'),
        (error) => isAppError(error, 'unavailable') && error.message.includes('a long copy'),
      )
      resolve()
      await holding
    })

    test('nobody but the owner and the edge reaches the socket, and no file of ours lies open', async () => {
      const edgeGid = testOwner ? 71_999 : undefined
      const supervisor = computes.supervisor({ edgeGid })
      const id = await computes.timeline()
      const { socketDir } = await supervisor.ensureRunning(computes.spec(id))
      const folder = await stat(socketDir)
      assert.equal(folder.mode & 0o777, testOwner ? 0o710 : 0o700)
      if (testOwner) assert.deepEqual([folder.uid, folder.gid], [testOwner.uid, edgeGid])
      const spec = await stat(join(computes.root, 'state', id, 'spec.json'))
      assert.equal(spec.mode & 0o777, 0o600)
      await supervisor.ensureStopped(id, 'fast')
      await supervisor.forget(id)
      await assert.rejects(stat(socketDir))
      assert.equal(await supervisor.readSpec(id), undefined)
    })

    test('a run folder that is too long for sockets is refused at once', () => {
      assert.throws(
        () => computes.supervisor({ runDir: `/${'x'.repeat(100)}` }),
        (error) => isAppError(error, 'config_invalid'),
      )
    })

    test('a pgrove that dies while starting a compute leaves one that is found', { timeout: 60_000 }, async () => {
      const id = await computes.timeline()
      const script = join(computes.root, 'dies.ts')
      const here = import.meta.dirname
      await writeFile(
        script,
        `import { Supervisor } from '${here}/supervisor.ts'
         import { setFailpoints } from '${here}/../lib/failpoint.ts'
         import { silentLogger } from '${here}/../lib/logger.ts'
         setFailpoints('compute.start.spawned=crash', [])
         const { root, tree, spec } = JSON.parse(process.argv[2])
         const supervisor = new Supervisor({ timelineDir: (id) => root + '/timelines/' + id, runDir: root + '/run', stateDir: root + '/state',
           tree: () => tree, servicePassword: () => '', edgeGid: undefined, logger: silentLogger })
         await supervisor.ensureRunning(spec)`,
      )
      const { spawn } = await import('node:child_process')
      const argument = JSON.stringify({ root: computes.root, tree: computes.tree, spec: computes.spec(id) })
      const child = spawn(process.execPath, [script, argument], { stdio: 'ignore' })
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
      assert.equal(signal, 'SIGKILL')
      const supervisor = computes.supervisor()
      await until('the orphan is ready', async () => {
        await supervisor.adopt()
        return supervisor.state(id).kind === 'running'
      })
      const client = await computes.service(supervisor, id)
      await client.query('SELECT 1')
      await rm(script)
    })
  })
}

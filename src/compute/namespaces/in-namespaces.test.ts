// A compute in a network of its own, as the kernel and as its tenant see it.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, readdir, readFile, readlink } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { loopDevicesUnder, mountedFolder, mountsUnder, obstacleTo } from '../../../test/storage/file-systems.ts'
import { skipUnless } from '../../../test/support/programs.ts'
import { silentLogger } from '../../lib/logger.ts'
import { AppError } from '../../model/errors.ts'
import type { TimelineId } from '../../model/ids.ts'
import { allOf, type Confinement } from '../confinement.ts'
import { dieFirst } from '../out-of-memory.ts'
import { poll } from '../process.ts'
import type { Supervisor } from '../supervisor.ts'
import { TestComputes, testInstallations, testOwner } from '../test-computes.ts'
import { makeFileView } from './file-view.ts'
import { inNamespaces } from './in-namespaces.ts'
import type { Namespace } from './namespace.ts'
import { findNetworkAbility, loopbackCommands, makeNetwork } from './own-network.ts'
import { ReadyNetworks } from './ready-networks.ts'

const ability = await findNetworkAbility()
const tools = 'tools' in ability ? ability.tools : undefined
const obstacle = 'obstacle' in ability ? `needs ${ability.obstacle}` : undefined
const [installation] = testInstallations.values()

/** Our own descriptors that hold a namespace open. */
async function heldOpen(): Promise<number> {
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  )
  return links.filter((link) => link.startsWith('net:')).length
}

const networkOf = (pid: number | 'self'): Promise<string> => readlink(`/proc/${pid}/ns/net`)

describe('a network of its own', skipUnless(obstacle), () => {
  let computes: TestComputes
  let networks: ReadyNetworks
  let confinement: Confinement
  let supervisor: Supervisor
  let files: Namespace
  let listener: Server
  let reached: number
  let port: number
  before(async () => {
    assert.ok(tools && installation)
    computes = await TestComputes.open(installation)
    networks = new ReadyNetworks(tools, silentLogger)
    files = await makeFileView([join(computes.root, 'timelines')])
    confinement = allOf([inNamespaces({ takeNetwork: () => networks.take(), files }), dieFirst])
    supervisor = computes.supervisor({ confinement })
    reached = 0
    listener = createServer((socket) => {
      reached += 1
      socket.destroy()
    }).listen(0, '::')
    await once(listener, 'listening')
    port = (listener.address() as AddressInfo).port
  })
  after(async () => {
    await computes?.[Symbol.asyncDispose]()
    await networks?.close()
    await files?.close()
    listener?.close()
  })

  const whatDblinkSays = async (client: pg.Client, host: string): Promise<string> => {
    await client.query('CREATE EXTENSION IF NOT EXISTS dblink')
    return await client
      .query(`SELECT dblink_connect('host=${host} port=${port} user=x password=x dbname=x connect_timeout=2')`)
      .then(
        () => 'connected',
        (error: Error & { detail?: string }) => `${error.message} ${error.detail ?? ''}`,
      )
  }
  const pidOf = (id: TimelineId): number => supervisor.address(id)?.pid ?? 0

  test('has its own loopback up, and nothing else', async () => {
    const id = await computes.claimed(supervisor)
    const pid = pidOf(id)
    assert.notEqual(await networkOf(pid), await networkOf('self'))
    const devices = (await readFile(`/proc/${pid}/net/dev`, 'utf8')).split('\n').filter((line) => line.includes(':'))
    assert.deepEqual(
      devices
        .map((line) => line.split(':')[0]?.trim())
        .filter((name) => !/^(sit|tunl|ip6|gre|erspan)/.test(name ?? '')),
      ['lo'],
    )
    assert.match(await readFile(`/proc/${pid}/net/if_inet6`, 'utf8'), /^0{31}1 .* lo$/m)
    // Up, so that this is refused and not unreachable.
    assert.match(await whatDblinkSays(await computes.tenant(id), '127.0.0.1'), /refused/)
    await supervisor.ensureStopped(id, 'fast')
  })

  test('runs Postgres as its user, without groups, in a session of its own, and is stopped and adopted like any other', async () => {
    const id = await computes.claimed(supervisor)
    const pid = pidOf(id)
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    const { uid, gid } = testOwner ?? { uid: 0, gid: 0 }
    assert.match(status, new RegExp(`^Uid:\\s${uid}\\s${uid}\\s${uid}\\s${uid}$`, 'm'))
    assert.match(status, new RegExp(`^Gid:\\s${gid}\\s${gid}\\s${gid}\\s${gid}$`, 'm'))
    assert.match(status, /^Groups:\s*$/m)
    assert.match(status, /^CapPrm:\s0+$/m)
    assert.match(status, /^CapEff:\s0+$/m)
    assert.equal(await readlink(`/proc/${pid}/exe`), join(computes.tree.binDir, 'postgres'))
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const [, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    assert.equal(Number(session), pid)
    const successor = computes.supervisor({ confinement })
    await successor.adopt()
    assert.equal(successor.address(id)?.pid, pid)
    await successor.ensureStopped(id, 'fast')
  })

  test('keeps what listens on this machine out of reach, by any address', async () => {
    const id = await computes.claimed(supervisor)
    const tenant = await computes.tenant(id)
    reached = 0
    for (const host of ['127.0.0.1', '127.9.9.9', '::1', '0.0.0.0', 'localhost']) {
      assert.doesNotMatch(await whatDblinkSays(tenant, host), /^connected|closed the connection/, host)
    }
    await tenant.query('CREATE EXTENSION postgres_fdw')
    await tenant.query(
      `CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '${port}', dbname 'x')`,
    )
    await tenant.query(`CREATE USER MAPPING FOR app SERVER here OPTIONS (user 'x', password 'x')`)
    await tenant.query(`CREATE FOREIGN TABLE far (a int) SERVER here`)
    await assert.rejects(tenant.query('SELECT * FROM far'), /could not connect/)
    if (computes.major >= 16) {
      await assert.rejects(
        tenant.query(
          `CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=${port} user=x password=x dbname=x' PUBLICATION p`,
        ),
        /could not connect/,
      )
    }
    assert.equal(reached, 0)
    await supervisor.ensureStopped(id, 'fast')
  })

  test('is not there for a compute that may go outside', async () => {
    const id = await computes.claimed(supervisor, { outbound: true })
    assert.equal(await networkOf(pidOf(id)), await networkOf('self'))
    reached = 0
    await whatDblinkSays(await computes.tenant(id), '127.0.0.1')
    assert.equal(reached, 1)
    await supervisor.ensureStopped(id, 'fast')
  })

  test('nothing that a compute can write is loaded as a library', async () => {
    const inTree = await readdir(computes.tree.root, { recursive: true })
    const library = join(computes.tree.root, inTree.find((name) => name.endsWith('/dblink.so')) ?? '')
    const confined = await computes.claimed(supervisor, { logicalReplication: true })
    const free = await computes.claimed(computes.supervisor(), { logicalReplication: true })
    for (const id of [confined, free]) {
      // As if the tenant had found a way to put it there.
      await copyFile(library, join(computes.dir(id), 'base', 'planted.so'))
      const tenant = await computes.tenant(id)
      const planted = join(computes.dir(id), 'base', 'planted.so')
      const answer = await tenant.query(`SELECT pg_create_logical_replication_slot('s', '${planted}')`).then(
        () => 'loaded',
        (error: Error) => error.message,
      )
      // A library of another kind is loaded and then refused for what it lacks.
      assert.match(answer, id === confined ? /could not load library/ : /output plugin|could not find function/)
    }
    await supervisor.ensureStopped(confined, 'fast')
  })

  test('its view of files keeps nobody from unmounting what is his', skipUnless(obstacleTo('xfs')), async () => {
    await using place = mountedFolder('xfs')
    const base = dirname(place.folder)
    const view = await makeFileView([join(computes.root, 'timelines')])
    try {
      assert.equal(mountsUnder(base).length, 1)
      execFileSync('umount', [place.folder])
      await poll(() => (loopDevicesUnder(base).length === 0 ? true : undefined), {
        everyMs: 20,
        timeoutMs: 10_000,
        timedOut: () => new AppError('internal', 'the loop device is still in use'),
      })
    } finally {
      await view.close()
    }
  })

  test('is shared with nobody, and goes with its compute, however many start at once', async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, () => computes.timeline()))
    await Promise.all(ids.map((id) => supervisor.ensureRunning(computes.spec(id))))
    assert.equal(new Set(await Promise.all(ids.map((id) => networkOf(pidOf(id))))).size, ids.length)
    await Promise.all(ids.map((id) => supervisor.ensureStopped(id, 'immediate')))
    await networks.close()
    assert.equal(await heldOpen(), 0)
    assert.ok(tools)
    networks = new ReadyNetworks(tools, silentLogger)
  })

  test('is let go of when its compute does not start', async () => {
    const id = computes.emptyTimeline()
    await computes.copy(computes.templateDir, computes.dir(id))
    await assert.rejects(supervisor.ensureRunning(computes.spec(id, { minCu: -1 })))
    await networks.close()
    assert.equal(await heldOpen(), 0)
    assert.ok(tools)
    networks = new ReadyNetworks(tools, silentLogger)
  })

  test('a compute dies before pgrove does, and its sessions before itself', async () => {
    const id = await computes.claimed(supervisor)
    const tenant = await computes.tenant(id)
    const { rows } = await tenant.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const scoreOf = async (pid: number | string): Promise<number> =>
      Number(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8'))
    const scores = [await scoreOf('self'), await scoreOf(pidOf(id)), await scoreOf(rows[0]?.pid ?? 0)]
    assert.deepEqual(
      scores,
      scores.toSorted((a, b) => a - b),
    )
    assert.equal(new Set(scores).size, 3)
    await supervisor.ensureStopped(id, 'fast')
  })

  test('is made by perl where there is no ip', async () => {
    const made = await makeNetwork({ loopback: loopbackCommands.perl })
    const interfaces = await made.run('cat', ['/proc/net/if_inet6'])
    await made.close()
    assert.match(interfaces, /^0{31}1 .* lo$/m)
  })
})

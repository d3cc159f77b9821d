// A tenant who has a whole Postgres and wants more: what listens on this machine, other tenants' data and processes, all connections there
// are. As a client, and as code that runs under the tenant's own user, which no client has: should one ever get that far, this is what is left.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, readdir, readFile, stat } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { findNetworkAbility } from '../../src/compute/namespaces/own-network.ts'
import { adminSocket, apiSocket, controlSocket, homeAt } from '../../src/home.ts'
import { eventually } from '../support/eventually.ts'
import { call } from '../support/faults.ts'
import { makeProject, settled, type TestProject } from '../support/neon.ts'
import { connect, loginError, query, type Session } from '../support/postgres.ts'
import { skipUnless } from '../support/programs.ts'
import { apiClient, startServer, type TestServer } from '../support/server.ts'

const ability = await findNetworkAbility()

describe('a hostile tenant', skipUnless('obstacle' in ability ? `needs ${ability.obstacle}` : undefined), () => {
  let server: TestServer
  let tenant: TestProject
  let victim: TestProject
  let listener: Server
  let port: number
  let reached = 0

  before(async () => {
    server = await startServer({ env: { PGROVE_STORAGE: 'copy' } })
    ;[tenant, victim] = [await makeProject(server), await makeProject(server)]
    listener = createServer((socket) => {
      reached += 1
      socket.destroy()
    }).listen(0, '::')
    await once(listener, 'listening')
    port = (listener.address() as AddressInfo).port
  })
  after(async () => {
    listener?.close()
    await server?.[Symbol.asyncDispose]()
  })

  const dblink = async (target: string): Promise<string> =>
    await query(
      tenant.uri,
      `create extension if not exists dblink; select dblink_connect('user=x password=x dbname=x connect_timeout=3 ${target}')`,
    ).then(
      () => 'connected',
      (error: Error & { detail?: string }) => `${error.message} ${error.detail ?? ''}`,
    )

  test('finds nobody on the loopback of the machine, pgrove itself neither', async () => {
    reached = 0
    for (const [host, at] of [
      ['127.0.0.1', port],
      ['::1', port],
      ['127.0.0.1', server.httpPort],
      ['127.0.0.1', server.pgPort],
    ] as const) {
      assert.match(await dblink(`host=${host} port=${at}`), /Connection refused/, `${host}:${at}`)
    }
    assert.equal(reached, 0)
  })

  test('gets outside where the operator says so, from the next start on, and not a moment longer than he does', async () => {
    const { data } = await apiClient(server).getProject(tenant.id)
    const limits = `/operator/organizations/${data.project.org_id}/limits`
    const wake = async (): Promise<void> =>
      void (await settled(server, apiClient(server).suspendProjectEndpoint(tenant.id, tenant.endpointId)))
    reached = 0
    await call(server, 'PATCH', limits, { limits: { outbound: true } })
    assert.match(await dblink(`host=127.0.0.1 port=${port}`), /Connection refused/)
    await wake()
    assert.match(await dblink(`host=127.0.0.1 port=${port}`), /closed the connection/)
    assert.equal(reached, 1)
    await call(server, 'PATCH', limits, { limits: { outbound: null } })
    await eventually('the compute is back in a network of its own', async () =>
      /Connection refused/.test(await dblink(`host=127.0.0.1 port=${port}`)),
    )
  })

  test('reaches no socket but its own, by SQL or as its user', async () => {
    const home = homeAt(server.home)
    const other = await timelineOf(victim)
    assert.match(await dblink(`host=${join(home.run, other)} port=5432`), /Permission denied/)
    assert.match(await dblink(`host=${join(home.run, 'controldb000')} port=5432`), /Permission denied/)
    const sockets = [
      controlSocket(home),
      apiSocket(home),
      adminSocket(home),
      join(home.run, other, '.s.PGSQL.5432'),
      join(home.run, 'controldb000', '.s.PGSQL.5432'),
    ]
    for (const socket of sockets) assert.equal(await asTenant(connectTo, socket), 'Permission denied', socket)
    const own = join(home.run, await timelineOf(tenant), '.s.PGSQL.5432')
    assert.equal(await asTenant(connectTo, own), '')
  })

  test('reads nothing of the others and of pgrove, as its user', async () => {
    const { root, controlDatabase, computes, masterKey, credentials, log, assignments, journal } = homeAt(server.home)
    const other = await timelineOf(victim)
    const timelines = join(root, 'storage', 'timelines')
    const closed = [
      masterKey,
      credentials,
      log,
      assignments,
      journal,
      timelines,
      join(timelines, other),
      join(timelines, other, 'PG_VERSION'),
      join(timelines, other, 'global', 'pg_control'),
      join(root, 'storage', 'templates', '17'),
      join(root, 'storage', 'wal'),
      join(root, 'storage', 'images'),
      computes,
      join(computes, other, 'spec.json'),
      join(computes, other, 'postgresql.conf'),
      join(computes, await timelineOf(tenant), 'spec.json'),
      join(computes, await timelineOf(tenant), 'postgres.log'),
      join(controlDatabase, 'data'),
      ...(await readdir(join(root, 'tls')))
        .filter((name) => name.endsWith('.key'))
        .map((name) => join(root, 'tls', name)),
    ]
    for (const path of closed) assert.equal(await asTenant(openFor, path), 'Permission denied', path)
    for (const path of [timelines, join(timelines, other), computes, root]) {
      assert.equal(await asTenant(makeIn, join(path, 'planted')), 'Permission denied', path)
    }
    assert.equal(await asTenant(openFor, join(timelines, await timelineOf(tenant), 'PG_VERSION')), '')
  })

  test('looks into no process of others and ends none', async () => {
    const pids = [(await backendOf(victim)).postmaster, process.pid, server.pid]
    for (const pid of pids) {
      for (const file of ['environ', 'cwd', 'mem'])
        assert.equal(await asTenant(openFor, `/proc/${pid}/${file}`), 'Permission denied', `${pid} ${file}`)
      assert.equal(await asTenant(signal, String(pid)), 'Operation not permitted')
    }
    await using session = await connect(victim.uri)
    const [backend] = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
    const [ended] = await query<{ ended: boolean }>(tenant.uri, 'select pg_terminate_backend($1) as ended', [
      backend?.pid,
    ])
    assert.equal(ended?.ended, false)
    assert.deepEqual(await session.query('select 1 as one'), [{ one: 1 }])
  })

  test('is bound to what its processes were born with', async () => {
    const { postmaster, backend } = await backendOf(tenant)
    for (const pid of [postmaster, backend]) {
      const [status, limits] = await Promise.all(
        ['status', 'limits'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
      )
      assert.match(status ?? '', /^NoNewPrivs:\s1$/m)
      assert.match(status ?? '', /^CapEff:\s0+$/m)
      assert.match(status ?? '', /^Groups:\s*$/m)
      assert.match(limits ?? '', /^Max core file size +0 +0 /m)
      const most = Number(/^Max processes +(\d+) +(\d+)/m.exec(limits ?? '')?.[2])
      assert.ok(most <= Number(await readFile('/proc/sys/kernel/pid_max', 'utf8')) / 2, `${most} processes`)
    }
    for (const setting of [
      'temp_file_limit',
      'max_connections',
      'superuser_reserved_connections',
      'max_worker_processes',
    ]) {
      await assert.rejects(query(tenant.uri, `set ${setting} = 100000`), /permission denied|cannot be changed/, setting)
    }
    const [shown] = await query<{ temp_file_limit: string }>(tenant.uri, 'show temp_file_limit')
    assert.equal(shown?.temp_file_limit, '2GB')
  })

  test('loads no library that lies where it can write, and none by the options of its connection', async () => {
    const { project } = await call(server, 'PATCH', `/projects/${tenant.id}`, {
      project: { settings: { enable_logical_replication: true } },
    }).then(({ body }) => body as { project: { id: string } })
    assert.equal(project.id, tenant.id)
    await eventually('logical replication is on', async () => {
      const [row] = await query<{ wal_level: string }>(tenant.uri, 'show wal_level').catch(() => [])
      return row?.wal_level === 'logical'
    })
    const { postgres, root } = homeAt(server.home)
    const library = (await readdir(postgres, { recursive: true })).find((name) => name.endsWith('/dblink.so'))
    // Names of output plugins have 63 bytes.
    const planted = join(root, 'storage', 'timelines', await timelineOf(tenant), 'x.so')
    await copyFile(join(postgres, library ?? ''), planted)
    await assert.rejects(
      query(tenant.uri, `select pg_create_logical_replication_slot('s', '${planted}')`),
      /could not load library/,
    )
    for (const name of ['local_preload_libraries', 'session_preload_libraries']) {
      const url = new URL(tenant.uri)
      url.searchParams.set('options', `${url.searchParams.get('options') ?? ''} -c ${name}=${planted}`.trim())
      assert.ok(await loginError(url.href), name)
    }
  })

  test('takes every connection there is, and is looked at, changed and put to sleep all the same', async () => {
    const sessions: Session[] = []
    try {
      const limit = 200
      const refused = await (async () => {
        while (sessions.length < limit) {
          const opened = await Promise.allSettled(Array.from({ length: 10 }, () => connect(tenant.uri)))
          for (const each of opened) if (each.status === 'fulfilled') sessions.push(each.value)
          const failed = opened.find((each) => each.status === 'rejected')
          if (failed) return failed.reason as { code?: string }
        }
        return undefined
      })()
      assert.equal(refused?.code, '53300')
      const { data } = await apiClient(server).getProjectEndpoint(tenant.id, tenant.endpointId)
      assert.equal(data.endpoint.current_state, 'active')
      await settled(server, apiClient(server).resetProjectBranchRolePassword(tenant.id, tenant.branchId, tenant.role))
      await settled(server, apiClient(server).suspendProjectEndpoint(tenant.id, tenant.endpointId))
      const asleep = await apiClient(server).getProjectEndpoint(tenant.id, tenant.endpointId)
      assert.equal(asleep.data.endpoint.current_state, 'idle')
    } finally {
      await Promise.all(sessions.map((session) => session[Symbol.asyncDispose]()))
    }
  })

  const timelineOf = async (project: TestProject): Promise<string> => {
    const [row] = await query<{ cluster_name: string }>(project.uri, 'show cluster_name')
    return row?.cluster_name ?? ''
  }

  const backendOf = async (project: TestProject): Promise<{ postmaster: number; backend: number }> => {
    const [row] = await query<{ pid: number }>(
      project.uri,
      `select pid from pg_stat_activity where backend_type = 'checkpointer'`,
    )
    const status = await readFile(`/proc/${row?.pid}/status`, 'utf8')
    return { backend: row?.pid ?? 0, postmaster: Number(/^PPid:\s(\d+)$/m.exec(status)?.[1]) }
  }

  /** What the system said to a few lines of Perl under the tenant's user; nothing where it let them. */
  const asTenant = async (program: string, argument: string): Promise<string> => {
    const { uid, gid } = await stat(join(server.home, 'storage', 'timelines', await timelineOf(tenant)))
    const { stdout, stderr, status } = spawnSync('perl', ['-e', program, argument], {
      uid,
      gid,
      cwd: '/',
      env: { LC_ALL: 'C' },
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    return stdout
  }
  const connectTo =
    'use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); print $! unless connect($s, sockaddr_un($ARGV[0]))'
  const openFor = 'print $! unless -d $ARGV[0] && !-l $ARGV[0] ? opendir(my $d, $ARGV[0]) : open(my $f, "<", $ARGV[0])'
  const makeIn = 'print $! unless mkdir($ARGV[0])'
  const signal = 'print $! unless kill(0, $ARGV[0])'
})

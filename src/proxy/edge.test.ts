import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Client } from 'pg'
import { skipUnless } from '../../test/support/programs.ts'
import { ensureCertificates } from '../lib/certificates.ts'
import { silentLogger } from '../lib/logger.ts'
import { serveRpc } from '../lib/rpc.ts'
import { AppError, isAppError } from '../model/errors.ts'
import { startEdge, type EdgeOptions } from './edge.ts'
import { controlPlaneMethods, pushEndpointChanged, RpcControlPlane } from './rpc-control-plane.ts'
import { FakeControlPlane } from './test-support/fake-control-plane.ts'
import { TestPostgres, testPassword, testUser, unprivileged } from './test-support/postgres.ts'
import { anyPort, testDomain, testEndpoint, until } from './test-support/test-edge.ts'

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'pgrove-edge-'))
  await chmod(path, 0o755)
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

async function options(t: TestContext): Promise<EdgeOptions> {
  const path = await folder(t)
  return {
    controlPlane: new FakeControlPlane({}),
    domains: [testDomain],
    pg: anyPort,
    http: { ...anyPort, portVariable: 'PGROVE_HTTP_PORT', hostVariable: 'PGROVE_HTTP_HOST' },
    tls: await ensureCertificates(join(path, 'tls'), { domains: [testDomain] }),
    controlHttpSocket: join(path, 'control.sock'),
    mockSecret: Buffer.alloc(32, 7),
    logger: silentLogger,
  }
}

async function takenPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

test('a port that was asked for and is taken is refused by the name of its setting', async (t) => {
  const some = await options(t)
  const port = await takenPort(t)
  await assert.rejects(startEdge({ ...some, pg: { ...some.pg, port } }), (error) => {
    assert.ok(isAppError(error, 'port_taken'))
    assert.match(error.message, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is taken: .*PGROVE_PG_PORT`))
    return true
  })
  await assert.rejects(startEdge({ ...some, http: { ...some.http, port } }), /PGROVE_HTTP_PORT/)
})

test('a default port that is taken gives way to the next free one', async (t) => {
  const some = await options(t)
  const port = await takenPort(t)
  const edge = await startEdge({ ...some, pg: { ...some.pg, port, fallbackPort: true } })
  t.after(() => edge.close())
  assert.ok(edge.ports.pg > port && edge.ports.pg <= port + 100)
})

test('an address that is not here is refused by the name of its setting', async (t) => {
  const some = await options(t)
  await assert.rejects(startEdge({ ...some, pg: { ...some.pg, host: '192.0.2.1' } }), /PGROVE_PG_HOST/)
})

test('over the RPC: wake, errors, activity, and a change that is heard before the push returns', async (t) => {
  const path = await folder(t)
  await using postgres = await TestPostgres.start()
  let place = join(path, 'elsewhere')
  const plane = new FakeControlPlane(
    {
      [testEndpoint]: async () => ({ socketDir: place, generation: place }),
      'ep-disabled': () => Promise.reject(new AppError('endpoint_disabled', 'it is disabled')),
    },
    (role) => postgres.verifierOf(role),
  )
  const socket = join(path, 'control-plane.sock')
  const server = await serveRpc(socket, controlPlaneMethods(plane), { mode: 0o600 })
  const controlPlane = new RpcControlPlane(socket, silentLogger)
  await controlPlane.whenConnected(5_000)
  const edge = await startEdge({ ...(await options(t)), controlPlane })
  try {
    const login = (endpoint: string): Client =>
      new Client({
        host: '127.0.0.1',
        port: edge.ports.pg,
        user: testUser,
        password: testPassword,
        database: 'postgres',
        options: `endpoint=${endpoint}`,
      })
    await assert.rejects(login('ep-disabled').connect(), (error: { code?: string }) => error.code === '55000')
    await assert.rejects(login('ep-unknown').connect(), (error: { code?: string }) => error.code === '28P01')
    assert.equal(await controlPlane.lookupRole('ep-unknown', testUser), undefined)
    assert.match((await controlPlane.lookupRole(testEndpoint, testUser))?.verifier ?? '', /^SCRAM-SHA-256\$/)

    place = postgres.socketDir
    const client = login(testEndpoint)
    await client.connect()
    await until('activity arrives', () => plane.activity.get(testEndpoint)?.sessions === 1)

    await client.end()
    place = join(path, 'moved away')
    const onKnownAddress = login(testEndpoint)
    await onKnownAddress.connect()
    await onKnownAddress.end()
    await pushEndpointChanged(server, testEndpoint)
    await assert.rejects(login(testEndpoint).connect(), /Couldn't connect to compute node/)

    // The edge may be in strange hands: nothing but the expected shapes gets in.
    const methods = controlPlaneMethods(plane)
    for (const params of [null, {}, { endpointId: 7 }, { endpointId: '../x' }]) {
      await assert.rejects(
        async () => methods['wake']?.(params),
        (error) => isAppError(error, 'bad_request'),
      )
    }
    const odd = { activity: [{ endpointId: 'ep-a', sessions: -1 }] }
    await assert.rejects(
      async () => methods['reportActivity']?.(odd),
      (error) => isAppError(error, 'bad_request'),
    )
  } finally {
    await edge.close()
    controlPlane.close()
    await server.close()
  }
})

test('known addresses serve while control is away', async (t) => {
  const path = await folder(t)
  await using postgres = await TestPostgres.start()
  const plane = new FakeControlPlane(
    {
      [testEndpoint]: async () => ({ socketDir: postgres.socketDir, generation: '1' }),
    },
    (role) => postgres.verifierOf(role),
  )
  const socket = join(path, 'control-plane.sock')
  const server = await serveRpc(socket, controlPlaneMethods(plane), { mode: 0o600 })
  const controlPlane = new RpcControlPlane(socket, silentLogger)
  await controlPlane.whenConnected(5_000)
  const edge = await startEdge({ ...(await options(t)), controlPlane })
  const connect = async (endpoint: string): Promise<void> => {
    const connection = { host: '127.0.0.1', port: edge.ports.pg, user: testUser, password: testPassword }
    const client = new Client({ ...connection, database: 'postgres', options: `endpoint=${endpoint}` })
    await client.connect()
    await client.end()
  }
  try {
    await connect(testEndpoint)
    await server.close()
    await connect(testEndpoint)
    await assert.rejects(connect('ep-other'), (error: { code?: string }) => error.code === '57P03')
    const again = await serveRpc(socket, controlPlaneMethods(plane), { mode: 0o600 })
    t.after(() => again.close())
    plane.wakes.length = 0
    plane.activity.clear()
    await controlPlane.whenConnected(5_000)
    await connect(testEndpoint)
    assert.deepEqual(plane.wakes, [testEndpoint])
    await until('activity is told again', () => plane.activity.has(testEndpoint))
  } finally {
    await edge.close()
    controlPlane.close()
  }
})

test(
  'an edge without any privileges serves',
  skipUnless(unprivileged ? undefined : 'needs root to become nobody'),
  async (t) => {
    const path = await folder(t)
    const tls = await ensureCertificates(join(path, 'tls'), { domains: [testDomain] })
    await using postgres = await TestPostgres.start()
    const plane = new FakeControlPlane(
      {
        [testEndpoint]: async () => ({ socketDir: postgres.socketDir, generation: '1' }),
      },
      (role) => postgres.verifierOf(role),
    )
    const socket = join(path, 'control-plane.sock')
    const server = await serveRpc(socket, controlPlaneMethods(plane), { mode: 0o660, gid: unprivileged?.gid })
    const program = join(path, 'edge.mjs')
    const here = import.meta.dirname
    await writeFile(
      program,
      `import { startEdge } from '${here}/edge.ts'
     import { RpcControlPlane } from '${here}/rpc-control-plane.ts'
     import { silentLogger } from '${here}/../lib/logger.ts'
     const any = { host: '127.0.0.1', port: 0, fallbackPort: false, portVariable: 'P', hostVariable: 'H' }
     const controlPlane = new RpcControlPlane('${socket}', silentLogger)
     await controlPlane.whenConnected(5000)
     const tls = ${JSON.stringify({ cert: tls.cert, key: tls.key })}
     const edge = await startEdge({ controlPlane, domains: [], pg: any, http: any, tls, controlHttpSocket: '/nowhere', mockSecret: Buffer.alloc(32, 7), logger: silentLogger })
     process.stdout.write(JSON.stringify({ ...edge.ports, uid: process.getuid() }) + '\\n')`,
    )
    const child = spawn(process.execPath, [program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: '/',
      ...unprivileged,
    })
    try {
      const [line] = (await once(child.stdout, 'data')) as [Buffer]
      const started = JSON.parse(String(line)) as { pg: number; uid: number }
      assert.equal(started.uid, unprivileged?.uid)
      const client = new Client({
        host: '127.0.0.1',
        port: started.pg,
        user: testUser,
        password: testPassword,
        database: 'postgres',
        options: `endpoint=${testEndpoint}`,
      })
      await client.connect()
      assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
      await client.end()
    } finally {
      child.kill('SIGKILL')
      await server.close()
    }
  },
)

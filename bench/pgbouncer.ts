// PgBouncer in transaction mode before the same compute that the proxy serves, over the same socket: what the proxy is measured against.
//
// It has the role's verifier as Postgres has it, so that it can check a login, and log in itself, without stretching a password.
//
// It works in a folder of the server's home and so ends and goes with it, whatever becomes of the bench. As root it runs under the uid of
// the edge, whom the sockets of computes are open to.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { homeAt } from '../src/home.ts'
import { ensureCertificates } from '../src/lib/certificates.ts'
import { run } from '../src/lib/run.ts'
import { newTimelineId } from '../src/model/ids.ts'
import { edgeOffset, findUidRange, ownerAt } from '../src/processes/uids.ts'
import { connectedTo } from './compute.ts'
import type { Address } from '../test/support/wire-session.ts'
import type { BenchServer } from './server.ts'
import { openSession, verifierOf } from '../test/support/wire-session.ts'

const readyTimeoutMs = 20_000
const mostClients = 12_000

export type PgBouncer = {
  version: string
  pid: number
  /** Named statements of the extended protocol work across its server connections. */
  keepsStatements: boolean
  address(options: { tls: boolean }): Address
}

/** Undefined where this machine has none. `compute`: its socket. */
export async function startPgBouncer(
  server: BenchServer,
  compute: Address,
  poolSize: number,
): Promise<PgBouncer | undefined> {
  const version = await versionHere()
  if (version === undefined) return undefined
  const folder = join(server.home, `pgbouncer-${newTimelineId()}`)
  await mkdir(folder, { mode: 0o700 })
  const port = await freePort()
  const { certFile, keyFile } = await ensureCertificates(folder, { domains: ['bench.localhost'] })
  const { user, database } = compute
  const path = (name: string): string => join(folder, name)
  const files = {
    'users.txt': `"${user}" "${await verifierAt(compute)}"\n`,
    'pgbouncer.ini': `
[databases]
${database} = host=${compute.host} port=${compute.port} dbname=${database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${path('users.txt')}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = ${mostClients}
client_tls_sslmode = allow
client_tls_cert_file = ${certFile}
client_tls_key_file = ${keyFile}
logfile = ${path('log')}
pidfile = ${path('pid')}
log_connections = 0
log_disconnections = 0
ignore_startup_parameters = extra_float_digits
`,
  }
  for (const [name, content] of Object.entries(files)) await writeFile(path(name), content, { mode: 0o600 })
  const owner = process.getuid?.() === 0 ? ownerAt(await findUidRange(homeAt(server.home)), edgeOffset) : undefined
  if (owner) {
    for (const file of [folder, certFile, keyFile, ...Object.keys(files).map(path)])
      await chown(file, owner.uid, owner.gid)
  }
  const child = spawn('pgbouncer', ['-q', path('pgbouncer.ini')], {
    cwd: folder,
    env: { PATH: searchPath },
    stdio: 'ignore',
    ...owner,
  })
  const address = ({ tls }: { tls: boolean }): Address => ({ ...compute, host: '127.0.0.1', port, tls })
  await whenReady(child, address({ tls: false }), path('log'))
  return {
    version: `PgBouncer ${version.join('.')}`,
    pid: child.pid ?? 0,
    keepsStatements: version[0] > 1 || version[1] >= 21,
    address,
  }
}

async function verifierAt(compute: Address): Promise<string> {
  const { socket, stretched } = await openSession(compute)
  socket.destroy()
  if (!stretched) throw new Error('the compute asked for no password')
  return verifierOf(stretched)
}

/** Debian keeps it where only root looks. */
const searchPath = [process.env['PATH'] ?? '', '/usr/sbin', '/usr/local/sbin'].join(delimiter)

async function versionHere(): Promise<[major: number, minor: number] | undefined> {
  const found = await run('pgbouncer', ['--version'], { env: { PATH: searchPath } }).catch(() => undefined)
  const [, major, minor] = /^PgBouncer (\d+)\.(\d+)/m.exec(found?.stdout ?? '') ?? []
  return major === undefined ? undefined : [Number(major), Number(minor)]
}

async function whenReady(child: ChildProcess, address: Address, log: string): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs
  const failed = once(child, 'error').then(([error]) => {
    throw error
  })
  failed.catch(() => {})
  for (;;) {
    try {
      const client = await Promise.race([connectedTo(address), failed])
      await client.end()
      return
    } catch (error) {
      if (child.exitCode === null && child.pid !== undefined && performance.now() < deadline) {
        await delay(50)
        continue
      }
      const said = await readFile(log, 'utf8').catch(() => '')
      throw new Error(`PgBouncer did not start:\n${said}`, { cause: error })
    }
  }
}

/** Of TCP. Somebody else may take it before it is used; then whoever asked fails and says so. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

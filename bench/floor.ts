// The floor: a bare `postgres` of the same runtime tree, with the settings of the smallest compute, on a clone of the same template, on the
// same file system, under a uid of its own, from its spawn to the first `select 1` over a Unix socket. What no control plane could beat.
//
// It lets its one client in by the name of its operating-system user, so that no password is part of the floor. Where a row starts it
// with `listen_addresses`, it takes logins with a password over TCP as well.

import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, chown, mkdir, open, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { serviceRole, socketPort } from '../src/compute/postgres-service.ts'
import { renderConf, settingsFor } from '../src/compute/postgresql-conf.ts'
import type { RuntimeTree } from '../src/compute/runtime-tree.ts'
import { readConfig } from '../src/config.ts'
import { homeAt } from '../src/home.ts'
import { defaultPgMajor, smallestCu, type Owner } from '../src/model/compute.ts'
import { newTimelineId } from '../src/model/ids.ts'
import { listInstallations, PostgresTrees } from '../src/processes/postgres-trees.ts'
import { findUidRange, ownerAt } from '../src/processes/uids.ts'
import { copyTree } from '../src/storage/tree-copy.ts'
import type { Address } from '../test/support/wire-session.ts'
import { timed } from './connect.ts'
import type { BenchServer } from './server.ts'

/** No project of a bench gets this far. */
const uidOffset = 20_000
const readyTimeoutMs = 120_000

export type StartSettings = Readonly<Record<string, string>>

export class Floor {
  readonly #binDir: string
  readonly #data: string
  readonly #socketDir: string
  readonly #conf: string
  readonly #settings: StartSettings
  readonly #owner: Owner | undefined
  #child: ChildProcess | undefined
  #port = socketPort

  private constructor(place: {
    binDir: string
    data: string
    socketDir: string
    conf: string
    settings: StartSettings
    owner: Owner | undefined
  }) {
    this.#binDir = place.binDir
    this.#data = place.data
    this.#socketDir = place.socketDir
    this.#conf = place.conf
    this.#settings = place.settings
    this.#owner = place.owner
  }

  /** Clones the template beside the timelines. Ends with the server's home. */
  static async on(server: BenchServer): Promise<Floor> {
    const id = newTimelineId()
    const home = homeAt(server.home)
    const { root } = server.storage
    const owner = process.getuid?.() === 0 ? ownerAt(await findUidRange(homeAt(server.home)), uidOffset) : undefined
    const folder = join(root, 'bench', id)
    const socketDir = join(home.run, id)
    await mkdir(join(root, 'bench'), { recursive: true })
    for (const path of [folder, socketDir]) {
      await mkdir(path)
      if (owner) await chown(path, owner.uid, owner.gid)
    }
    for (const path of [join(root, 'bench'), folder]) await chmod(path, 0o711)
    const data = join(folder, 'data')
    await clone(server, data, owner)
    const files = {
      hbaFile: join(folder, 'pg_hba.conf'),
      identFile: join(folder, 'pg_ident.conf'),
      conf: join(folder, 'postgresql.conf'),
    }
    const spec = {
      timelineId: id,
      pgMajor: defaultPgMajor,
      minCu: smallestCu,
      pgSettings: {},
      preloadLibraries: [],
      logicalReplication: false,
      outbound: false,
      owner,
      serviceKeyId: '',
    }
    await writeReadable(files.hbaFile, 'local all all peer map=bench\nhost all all 127.0.0.1/32 scram-sha-256\n')
    await writeReadable(files.identFile, `bench ${userInfo().username} ${serviceRole}\n`)
    const settings = settingsFor(spec, {
      socketDir,
      hbaFile: files.hbaFile,
      identFile: files.identFile,
      fsync: true,
      keepsWal: false,
    })
    await writeReadable(files.conf, renderConf(settings))
    return new Floor({ binDir: (await treeOf(server.home)).binDir, data, socketDir, conf: files.conf, settings, owner })
  }

  get address(): Address {
    return { host: this.#socketDir, port: this.#port, user: serviceRole, database: 'postgres' }
  }

  /** One start, measured, and a clean stop, not measured. */
  async sample(): Promise<number> {
    const ms = await this.start()
    await this.stop('SIGINT')
    return ms
  }

  /** From the spawn to the first row. */
  async start(change: StartSettings = {}): Promise<number> {
    const settings = { ...this.#settings, ...change }
    this.#port = Number(settings['port'])
    await writeReadable(this.#conf, renderConf(settings))
    const log = await open(join(this.#data, '..', 'postgres.log'), 'a')
    try {
      return await timed(async () => {
        this.#child = spawn(join(this.#binDir, 'postgres'), ['-D', this.#data, '-c', `config_file=${this.#conf}`], {
          cwd: this.#data,
          env: { LC_ALL: 'C', TZ: 'UTC' },
          stdio: ['ignore', log.fd, log.fd],
          ...this.#owner,
        })
        await this.#firstRow(this.#child)
      })
    } finally {
      await log.close()
    }
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  async query(text: string): Promise<void> {
    const client = this.#client()
    await client.connect()
    await client.query(text)
    await client.end()
  }

  #client(): pg.Client {
    const client = new pg.Client(this.address)
    client.on('error', () => {})
    return client
  }

  async #firstRow(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + readyTimeoutMs
    for (;;) {
      const client = this.#client()
      try {
        await client.connect()
        await client.query('select 1')
        void client.end().catch(() => {})
        return
      } catch (error) {
        void client.end().catch(() => {})
        if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
          throw new Error('the floor did not start', { cause: error })
        }
        await delay(1)
      }
    }
  }
}

/** A clone of the template and nothing else, under the owner that a project would have. */
export async function cloneFloor(server: BenchServer, samples: number): Promise<number[]> {
  const owner = process.getuid?.() === 0 ? ownerAt(await findUidRange(homeAt(server.home)), uidOffset) : undefined
  const parent = join(server.storage.root, 'bench')
  await mkdir(parent, { recursive: true })
  await chmod(parent, 0o711)
  const figures: number[] = []
  for (let i = 0; i < samples; i++)
    figures.push(await timed(() => clone(server, join(parent, `clone-${newTimelineId()}`), owner)))
  return figures
}

async function clone(server: BenchServer, to: string, owner: Owner | undefined): Promise<void> {
  const template = join(server.storage.root, 'templates', String(defaultPgMajor))
  await copyTree(template, to, server.storage.copyOnWrite ? 'shared' : 'separate', { owner, exclude: [] })
}

async function treeOf(home: string): Promise<RuntimeTree> {
  const config = readConfig({ PGROVE_HOME: home })
  return await new PostgresTrees(homeAt(home), await listInstallations(homeAt(home), config)).tree(defaultPgMajor)
}

/** As Postgres, whose uid is not ours, has to read it. */
async function writeReadable(path: string, content: string): Promise<void> {
  await writeFile(path, content)
  await chmod(path, 0o644)
}

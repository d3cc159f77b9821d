// The control process: the API, operations, reconcilers and computes. Wires what they are made of, in order, and takes it apart again.

import { chmod, chown } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { listen } from '../api/listen.ts'
import { createApiServer } from '../api/server.ts'
import { loadContract } from '../api/contract/load.ts'
import { Assignments } from '../compute/assignments.ts'
import { allOf } from '../compute/confinement.ts'
import { Supervisor } from '../compute/supervisor.ts'
import { fillTemplate } from '../compute/template.ts'
import { authControlPlaneMethods } from '../auth/rpc-control-plane.ts'
import type { Config } from '../config.ts'
import { dataApiControlPlaneMethods } from '../data-api/branches/rpc-control-plane.ts'
import {
  adminSocket,
  apiSocket,
  controlSocket,
  loadApiKey,
  loadCell,
  loadMasterKey,
  serviceControlSocket,
  type Home,
} from '../home.ts'
import { Addresses } from '../control/addresses.ts'
import { ensureFirstUser } from '../control/accounts.ts'
import { newApiKey } from '../control/api-keys.ts'
import { createControl } from '../control/create-control.ts'
import { templateServiceKey } from '../control/warm-pool.ts'
import { ensureCertificates } from '../lib/certificates.ts'
import { Cipher } from '../lib/cipher.ts'
import { setFailpoints } from '../lib/failpoint.ts'
import type { Logger } from '../lib/logger.ts'
import { serveRpc, type RpcMethods, type RpcServer } from '../lib/rpc.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { pushTargetChanged } from '../lib/told-targets.ts'
import { defaultPgMajor, type PgMajor } from '../model/compute.ts'
import { AppError, isAppError } from '../model/errors.ts'
import { serviceLabels, type ServiceName } from '../model/service-routes.ts'
import type { Store } from '../store/database.ts'
import { latencyBucketsSeconds } from '../proxy/control-plane.ts'
import { askToPark, controlPlaneMethods, pushEndpointChanged } from '../proxy/rpc-control-plane.ts'
import { openStorage, type Storage } from '../storage/timelines.ts'
import { exampleConnection } from './example-project.ts'
import { openConfinements } from './confinements.ts'
import { openSizing } from './sizing.ts'
import { openControlDatabase } from './control-database.ts'
import { findDomain } from './domain.ts'
import type { ControlReady, Ports } from './messages.ts'
import { readAuthOperator } from './auth-operator.ts'
import { readPrices } from './prices.ts'
import { organizationMethods } from './organization-methods.ts'
import { listInstallations, PostgresTrees } from './postgres-trees.ts'
import { controlDatabaseOffset, edgeOffset, findUidRange, ownerAt, serviceOffsets, templateOffset } from './uids.ts'

export type ControlProcess = {
  ready: ControlReady
  setPorts(ports: Ports): void
  /** Into a project that the very first start makes; undefined once that is deleted. */
  exampleConnection(): Promise<string | undefined>
  /** `computes`: Postgres processes end too, and the pool is unmounted; without it only we end. */
  stop(options: { computes: boolean }): Promise<void>
}

type Closer = () => Promise<void>

export async function startControl(options: {
  config: Config
  home: Home
  logger: Logger
  progress: (text: string) => void
}): Promise<ControlProcess> {
  const closers: Closer[] = []
  try {
    return await start(options, closers)
  } catch (error) {
    for (const close of closers.toReversed()) await close().catch(() => {})
    throw error
  }
}

async function start(
  { config, home, logger, progress }: { config: Config; home: Home; logger: Logger; progress: (text: string) => void },
  closers: Closer[],
): Promise<ControlProcess> {
  const range = config.isRoot ? await findUidRange(home) : undefined
  const ownerOf = (offset: number): { uid: number; gid: number } | undefined => range && ownerAt(range, offset)
  const edge = ownerOf(edgeOffset)
  const edgeGid = edge?.gid
  const cipher = new Cipher(await loadMasterKey(home, config.masterKey))
  const trees = new PostgresTrees(home, await listInstallations(home, config))
  let ports: Ports = { pg: config.pg.port, http: config.http.port, https: config.https?.port }

  progress('preparing Postgres')
  const database = await openControlDatabase({
    config,
    home,
    cipher,
    trees,
    owner: ownerOf(controlDatabaseOffset),
    logger,
    progress,
  })
  const { store } = database
  // The database stops with the computes: a control plane that is only replaced leaves it running for its successor.
  let stopsDatabase = !database.adopted
  closers.push(() => (stopsDatabase ? database.stop() : store.close()))

  const cell = await loadCell(home)
  const cellLock = await holdCell(store, cell, logger)
  closers.push(cellLock)

  progress('opening storage')
  const storage = await openStorage({
    home: home.root,
    wanted: config.storage,
    floorBytes: config.diskFloorBytes,
    logger,
  })
  let unmounts = true
  closers.push(() => storage.close({ unmount: unmounts }))

  const { pooled, root } = storage.description
  const confinements = await openConfinements(pooled ? [] : [root, home.run], logger)
  closers.push(() => confinements.close())
  const sizes = await openSizing(config.cgroups, cell, logger)
  closers.push(() => sizes.close())

  const servicePassword = (serviceKeyId: string): string => cipher.derive(`service role of ${serviceKeyId}`)
  const supervisor = new Supervisor({
    timelineDir: (id) => storage.timelineDir(id),
    runDir: home.run,
    stateDir: home.computes,
    tree: (major) => trees.tree(major),
    servicePassword,
    edgeGid,
    confinement: allOf([confinements.confinement, sizes.confinement]),
    sizing: sizes.sizing,
    logger,
  })
  await supervisor.adopt()

  const templates = new SingleFlight<void>()
  const madeTemplates = new Set<PgMajor>()
  const ensureTemplate = (major: PgMajor): Promise<void> =>
    templates.run(String(major), async () => {
      if (madeTemplates.has(major)) return
      await makeTemplate(storage, trees, major, ownerOf(templateOffset), servicePassword(templateServiceKey), progress)
      madeTemplates.add(major)
    })

  const domain = await findDomain(config.domain)
  const certificates = await ensureCertificates(home.tls, {
    domains: [domain.domain, ...serviceLabels.map((label) => `${label}.${domain.domain}`)],
  })
  const addresses = new Addresses({
    domain: domain.domain,
    domainResolves: domain.resolves,
    pgHost: reachable(config.pg.host),
    pgPort: () => ports.pg,
    httpHost: reachable(config.http.host),
    httpPort: () => ports.http,
    httpsPort: () => ports.https,
    // An operator's own certificate is one that clients know; ours is known to whoever was given `ca.crt`.
    trustedCertificate: certificates.caFile === undefined,
  })
  const first = await loadApiKey(home, config.apiKey, newApiKey)
  const user = await ensureFirstUser(store, first.key)

  const plane = createControl({
    store,
    storage,
    supervisor,
    assignments: new Assignments(home.assignments),
    cipher,
    addresses,
    logger,
    cell,
    processId: crypto.randomUUID(),
    availableMajors: trees.majors,
    ownerOf,
    ensureTemplate,
    preloadable: async (major) => (await trees.tree(major)).preloadLibraries,
    defaultLibraries: (major) => trees.defaultLibraries(major),
    pgDump: (major, owner) => trees.pgDump(major, owner),
    servicePassword,
    recoveryWindowSeconds: config.recoveryWindowSeconds,
    requiresOrgId: config.requiresOrgId,
    limits: { heldSessionMs: config.heldSessionSeconds * 1000, scaleDownMs: config.scaleDownSeconds * 1000 },
    journalFolder: home.journal,
    poolLimits: config.pool,
    rateLimits: config.rateLimits,
    prices: await readPrices(config.pricesFile),
    authOperator: {
      ...(await readAuthOperator(config.authConfigFile)),
      hasDevelopmentProvider: config.hasDevelopmentProvider,
    },
    latencyBucketsSeconds,
  })
  if (trees.majors.includes(defaultPgMajor)) await ensureTemplate(defaultPgMajor)
  await plane.open()
  let stopsComputes = true
  closers.push(async () => {
    await plane.close({ stopsComputes })
    if (!stopsComputes) return
    await Promise.all(supervisor.running().map((id) => supervisor.ensureStopped(id, 'fast')))
  })

  // By uid: its group is also that of other processes of ours, which it lets through to computes.
  const rpc = await serveRpc(controlSocket(home), controlPlaneMethods(plane.proxy), {
    mode: 0o600,
    uid: edge?.uid,
    logger,
  })
  closers.push(() => rpc.close())
  plane.proxy.onEndpointChanged((endpointId, what, notice) => pushEndpointChanged(rpc, endpointId, what, notice))
  plane.proxy.parkWith((request) => askToPark(rpc, request))
  const serveService = async (service: ServiceName, methods: RpcMethods): Promise<RpcServer> => {
    const uid = ownerOf(serviceOffsets[service])?.uid
    const server = await serveRpc(serviceControlSocket(home, service), methods, { mode: 0o600, uid, logger })
    closers.push(() => server.close())
    return server
  }
  const auth = await serveService('auth', authControlPlaneMethods(plane.auth))
  plane.auth.onChanged((changed) => pushTargetChanged(auth, changed))
  const dataApi = await serveService('data-api', dataApiControlPlaneMethods(plane.dataApi))
  plane.dataApi.onChanged((changed) => pushTargetChanged(dataApi, changed))
  const admin = await serveRpc(
    adminSocket(home),
    {
      report: async () => ({
        ...(await plane.report()),
        storage: storage.description,
        free: await storage.freeBytes(),
        ports,
      }),
      ...organizationMethods(plane.organizations),
      ...(config.failpoints === ''
        ? {}
        : { setFailpoints: async (text) => setFailpoints(String(text), [process.ppid]) }),
    },
    { mode: 0o600, logger },
  )
  closers.push(() => admin.close())

  const contract = await loadContract({ cacheFolder: home.contractCache })
  const server = createApiServer({
    contract,
    control: plane.control,
    log: logger,
    checkResponses: config.checkResponses,
    behindEdge: true,
    limitsStrangers: config.rateLimits !== 'off',
  })
  const listening = await listen(server, { socketPath: apiSocket(home), mode: 0o600, uid: edge?.uid })
  closers.push(() => listening.close())
  if (edgeGid !== undefined) await chown(home.run, 0, edgeGid)
  if (edgeGid !== undefined) await chmod(home.run, 0o711)

  return {
    ready: {
      storage: storage.description.why,
      apiKey: first.key,
      apiKeyIsNew: first.isNew,
      domain: domain.domain,
      domainResolves: domain.resolves,
      tls: { cert: certificates.cert, key: certificates.key },
      mockSecret: Buffer.from(cipher.derive('salts of roles that do not exist'), 'base64url').toString('base64'),
    },
    setPorts: (actual) => {
      ports = actual
      // Part of every address that services were told.
      void plane.context.authPlane.changed({ what: 'all' })
      void plane.context.dataApiPlane.changed({ what: 'all' })
    },
    exampleConnection: () => exampleConnection(plane.control, store, { kind: 'user', userId: user.id, keyId: 0 }),
    async stop({ computes }) {
      stopsComputes = stopsDatabase = unmounts = computes
      for (const close of closers.toReversed()) await close()
    },
  }
}

/** From this machine, where a listener is on all addresses. */
const reachable = (host: string): string => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host)

async function makeTemplate(
  storage: Storage,
  trees: PostgresTrees,
  major: PgMajor,
  owner: { uid: number; gid: number } | undefined,
  servicePassword: string,
  progress: (text: string) => void,
): Promise<void> {
  const tree = await trees.tree(major)
  await storage.ensureTemplate(String(major), owner, async (dir) => {
    progress(`making the template of Postgres ${tree.version} (once)`)
    await fillTemplate(tree, dir, { owner, servicePassword })
  })
}

/** Two control planes must not act for one cell. The lock ends with the database, and is taken again when that is back. */
async function holdCell(store: Store, cell: string, logger: Logger): Promise<Closer> {
  let held = await takeCell(store, cell)
  let released = false
  const retake = async (): Promise<void> => {
    while (!released) {
      try {
        held = await takeCell(store, cell)
        if (released) held.release()
        return
      } catch (error) {
        if (isAppError(error, 'home_in_use')) {
          logger.fatal({ cell }, 'another pgrove took over while the control database was away; control ends')
          process.exit(1)
        }
        await delay(retakePauseMs)
      }
    }
  }
  const keep = async (): Promise<void> => {
    while (!released) {
      await held.lost
      held.release()
      await retake()
    }
  }
  void keep()
  return async () => {
    released = true
    held.release()
  }
}

type HeldCell = { lost: Promise<void>; release(): void }

/** A predecessor's session ends a moment after its process. */
async function takeCell(store: Store, cell: string): Promise<HeldCell> {
  const { promise: lost, resolve } = Promise.withResolvers<void>()
  const session = await store.session(resolve)
  let released = false
  const release = (): void => {
    if (!released) session.release(true)
    released = true
  }
  try {
    const deadline = Date.now() + cellPatienceMs
    for (;;) {
      const { rows } = await session.query<{ held: boolean }>(
        'select pg_try_advisory_lock(hashtextextended($1, 0)) as held',
        [`pgrove cell ${cell}`],
      )
      if (rows[0]?.held === true) return { lost, release }
      if (Date.now() > deadline) break
      await delay(100)
    }
  } catch (error) {
    release()
    throw error
  }
  release()
  throw new AppError('home_in_use', 'another pgrove acts for this home folder; stop it first')
}

const cellPatienceMs = 10_000
const retakePauseMs = 500

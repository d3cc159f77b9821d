// `pgrove start`: starts control and edge, and services beside them when somebody asks for one, watches them, and stops them in order. In
// the foreground, until a signal.

import { fork, type ChildProcess } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Config } from '../config.ts'
import {
  apiSocket,
  controlSocket,
  lockHome,
  openHome,
  removeDrafts,
  serviceControlSocket,
  serviceSocket,
  type Home,
} from '../home.ts'
import { allowedEnvironment } from '../lib/run.ts'
import { AppError, errorChain, toErrorCode } from '../model/errors.ts'
import type { ServiceName } from '../model/service-routes.ts'
import { findBounds, type ForkCommand } from '../processes/bounds.ts'
import type { AuthProcessSettings } from '../processes/auth-settings.ts'
import type { EdgeSettings } from '../processes/edge-settings.ts'
import type { ControlReady, FromControl, FromEdge, Ports, ToControl, ToEdge } from '../processes/messages.ts'
import type { ServiceSettings } from '../processes/service-settings.ts'
import { edgeOffset, findUidRange, ownerAt, serviceOffsets } from '../processes/uids.ts'
import type { Printer } from './printer.ts'
import { ServiceChildren, type ServiceDefinition } from './service-children.ts'

const main = fileURLToPath(new URL(import.meta.url.endsWith('.js') ? '../main.js' : '../main.ts', import.meta.url))
const stopTimeoutMs = 120_000
const restartPauseMs = 500
/** What strangers send ends as garbage soon, and however much of it there is, others need memory as well. */
const serviceNodeOptions = ['--max-semi-space-size=4', '--max-old-space-size=512']

export async function start(config: Config, printer: Printer): Promise<void> {
  const home = await openHome(config.home, config.isRoot)
  await lockHome(home)
  await removeDrafts(home)
  try {
    await new Watch(config, home, printer, await findBounds(config.isRoot)).run()
  } finally {
    await rm(home.lock, { force: true })
  }
}

class Watch {
  readonly #config: Config
  readonly #home: Home
  readonly #printer: Printer
  readonly #bounds: (nodeOptions: readonly string[]) => ForkCommand
  #control: ChildProcess | undefined
  #edge: ChildProcess | undefined
  #ports: Ports | undefined
  #edgeSettings: EdgeSettings | undefined
  #services: ServiceChildren | undefined
  readonly #connection = Promise.withResolvers<string | undefined>()
  #stopping = false

  constructor(config: Config, home: Home, printer: Printer, bounds: (nodeOptions: readonly string[]) => ForkCommand) {
    this.#config = config
    this.#home = home
    this.#printer = printer
    this.#bounds = bounds
  }

  async run(): Promise<void> {
    const signalled = new Promise<NodeJS.Signals>((resolve) => {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, resolve)
    })
    const log = await open(this.#home.log, 'a', 0o600)
    try {
      const ready = await this.#startControl(log.fd)
      this.#services = this.#makeServices(ready, log.fd)
      await this.#startEdge(ready, log.fd)
      this.#printer.done()
      this.#announce(ready, await this.#connection.promise)
      await signalled
      this.#printer.line('stopping')
    } finally {
      await this.#stop(log.fd)
      await log.close()
    }
    this.#printer.line('stopped')
  }

  async #startControl(logFd: number): Promise<ControlReady> {
    const child = fork(main, ['control'], {
      // Short-lived garbage is all that an API makes: a small nursery keeps the process 80 MB smaller under load.
      ...this.#bounds([...process.execArgv, '--max-semi-space-size=2']),
      stdio: ['ignore', logFd, logFd, 'ipc'],
    })
    this.#control = child
    const ready = await new Promise<ControlReady>((resolve, reject) => {
      child.on('message', (message) => {
        const heard = message as FromControl
        switch (heard.kind) {
          case 'progress':
            this.#printer.progress(heard.text)
            return
          case 'ready':
            resolve(heard.ready)
            return
          case 'failed':
            reject(new AppError(toErrorCode(heard.code), heard.message, { cause: heard.cause }))
            return
          case 'connection':
            this.#connection.resolve(heard.uri)
            return
          case 'stopped':
            return
        }
      })
      child.once('exit', (code, signal) =>
        reject(
          new AppError(
            'internal',
            `the control process ended with ${signal ?? code} before it was ready; see ${this.#home.log}`,
          ),
        ),
      )
    })
    if (this.#ports) this.#tellControl({ kind: 'listening', ports: this.#ports })
    child.once('exit', (code, signal) => {
      if (this.#stopping) return
      this.#printer.line(`the control process ended (${signal ?? code}); starting it again`)
      this.#again(() => this.#startControl(logFd))
    })
    return ready
  }

  async #startEdge(ready: ControlReady, logFd: number): Promise<void> {
    const config = this.#config
    const owner = config.isRoot ? ownerAt(await findUidRange(this.#home), edgeOffset) : undefined
    this.#edgeSettings = {
      domains: [ready.domain],
      pg: toAddress(config.pg, 'PG'),
      http: toAddress(config.http, 'HTTP'),
      https: config.https && toAddress(config.https, 'HTTPS'),
      tls: ready.tls,
      mockSecret: ready.mockSecret,
      controlSocket: controlSocket(this.#home),
      apiSocket: apiSocket(this.#home),
      serviceSockets: socketsOf(this.#home),
      trustedProxies: config.trustedProxies,
      logLevel: config.logLevel,
      owner,
    }
    await this.#listen(this.#edgeSettings, logFd)
  }

  async #listen(settings: EdgeSettings, logFd: number): Promise<void> {
    const child = fork(main, ['edge'], {
      ...this.#bounds(process.execArgv),
      env: edgeEnvironment(),
      stdio: ['ignore', logFd, logFd, 'ipc'],
    })
    this.#edge = child
    const ports = await new Promise<Ports>((resolve, reject) => {
      child.on('message', (message) => {
        const heard = message as FromEdge
        switch (heard.kind) {
          case 'listening':
            resolve(heard.ports)
            return
          case 'wanted':
            this.#services?.want(heard.service)
            return
          case 'failed':
            reject(new AppError(toErrorCode(heard.code), heard.message, { cause: heard.cause }))
            return
          case 'stopped':
            return
        }
      })
      child.once('exit', (code, signal) =>
        reject(
          new AppError(
            'internal',
            `the edge process ended with ${signal ?? code} before it was ready; see ${this.#home.log}`,
          ),
        ),
      )
      send(child, { kind: 'listen', settings } satisfies ToEdge)
    })
    this.#ports = ports
    // Where it listens once, it listens again after a crash.
    this.#edgeSettings = {
      ...settings,
      pg: { ...settings.pg, port: ports.pg, fallbackPort: false },
      http: { ...settings.http, port: ports.http, fallbackPort: false },
      https: settings.https && { ...settings.https, port: ports.https ?? settings.https.port, fallbackPort: false },
    }
    this.#tellControl({ kind: 'listening', ports })
    child.once('exit', (code, signal) => {
      if (this.#stopping) return
      this.#printer.line(`the edge process ended (${signal ?? code}); starting it again`)
      this.#again(async () => this.#edgeSettings && this.#listen(this.#edgeSettings, logFd))
    })
  }

  #makeServices(ready: ControlReady, logFd: number): ServiceChildren {
    return new ServiceChildren({
      main,
      bounds: this.#bounds,
      environment: serviceEnvironment,
      logFd,
      changed: (service, isUp) => send(this.#edge, { kind: 'service', service, isUp } satisfies ToEdge),
      say: (text) => this.#printer.line(text),
      define: (service) => this.#defineService(service, ready),
    })
  }

  async #defineService(service: ServiceName, ready: ControlReady): Promise<ServiceDefinition> {
    const [config, home] = [this.#config, this.#home]
    const range = config.isRoot ? await findUidRange(home) : undefined
    const edge = range && ownerAt(range, edgeOffset)
    const shared: ServiceSettings = {
      domains: [ready.domain],
      socket: serviceSocket(home, service),
      controlSocket: serviceControlSocket(home, service),
      logLevel: config.logLevel,
      // Its group lets it through to the sockets of computes, as it does the edge.
      owner: range && edge && { uid: ownerAt(range, serviceOffsets[service]).uid, gid: edge.gid, edgeUid: edge.uid },
    }
    return { nodeOptions: serviceNodeOptions, settings: settingsOf(service, shared, config), socket: shared.socket }
  }

  #again(work: () => Promise<unknown>): void {
    setTimeout(() => {
      if (this.#stopping) return
      work().catch((error: unknown) => {
        this.#printer.line(errorChain(error))
        this.#again(work)
      })
    }, restartPauseMs)
  }

  #tellControl(message: ToControl): void {
    send(this.#control, message)
  }

  async #stop(logFd: number): Promise<void> {
    this.#stopping = true
    send(this.#edge, { kind: 'stop' } satisfies ToEdge)
    await ended(this.#edge)
    await this.#services?.stop()
    await this.#stopControl(logFd)
    // It may have been killed a moment before it was told, and nobody else can stop the databases.
    if (this.#control?.signalCode) await this.#stopControl(logFd)
  }

  async #stopControl(logFd: number): Promise<void> {
    if (this.#ports && this.#control && hasEnded(this.#control)) {
      await this.#startControl(logFd).catch((error: unknown) => this.#printer.line(errorChain(error)))
    }
    this.#tellControl({ kind: 'stop', computes: true })
    await ended(this.#control)
  }

  #announce(ready: ControlReady, connection: string | undefined): void {
    const { http, https, pg } = this.#ports ?? { http: 0, https: undefined, pg: 0 }
    const config = this.#config
    const api = `http://${urlHost(config.http.host)}:${http}/api/v2`
    if (!config.http.asked && http !== config.http.port)
      this.#printer.line(`port ${config.http.port} is taken, so HTTP listens on ${http} (PGROVE_HTTP_PORT chooses)`)
    if (!config.pg.asked && pg !== config.pg.port)
      this.#printer.line(`port ${config.pg.port} is taken, so Postgres listens on ${pg} (PGROVE_PG_PORT chooses)`)
    this.#printer.line(`storage    ${ready.storage}`)
    this.#printer.line(`api        ${api}`)
    if (https !== undefined) this.#printer.line(`https      https://${urlHost(config.http.host)}:${https}`)
    this.#printer.line(`postgres   ${config.pg.host}:${pg}`)
    this.#printer.line(
      `domain     *.${ready.domain}${ready.domainResolves ? '' : ' (does not resolve here: connection strings name the endpoint in `options`)'}`,
    )
    this.#printer.line(`home       ${this.#home.root}`)
    const keyPlace = config.apiKey === undefined ? `kept in ${this.#home.credentials}` : 'from PGROVE_API_KEY'
    this.#printer.line(`api key    ${ready.apiKeyIsNew ? `${ready.apiKey}  (${keyPlace})` : keyPlace}`)
    if (connection !== undefined) this.#printer.line(`try        psql '${connection}'`)
    this.#printer.line('ready')
  }
}

function settingsOf(service: ServiceName, shared: ServiceSettings, config: Config): ServiceSettings {
  switch (service) {
    case 'auth': {
      const { hasDevelopmentProvider, rateLimits } = config
      const settings: AuthProcessSettings = { ...shared, hasDevelopmentProvider, countsAddresses: rateLimits !== 'off' }
      return settings
    }
    case 'data-api':
      return shared
  }
}

function socketsOf(home: Home): EdgeSettings['serviceSockets'] {
  return { auth: serviceSocket(home, 'auth'), 'data-api': serviceSocket(home, 'data-api') }
}

function toAddress(
  { host, port, asked }: { host: string; port: number; asked: boolean },
  name: string,
): EdgeSettings['pg'] {
  return {
    host,
    port,
    fallbackPort: !asked,
    portVariable: `PGROVE_${name}_PORT`,
    hostVariable: `PGROVE_${name === 'HTTPS' ? 'HTTP' : name}_HOST`,
  }
}

/** Strangers talk to the edge, and our environment may hold the master key and the control database's password: it gets none of it. */
const serviceEnvironment = (): Record<string, string> => ({ ...edgeEnvironment(), NODE_ENV: 'production' })

function edgeEnvironment(): Record<string, string> {
  const compiled = process.env['NODE_COMPILE_CACHE']
  return allowedEnvironment(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled })
}

const urlHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** To a child that has just died there is nothing to say; its exit is what is acted on. */
function send(child: ChildProcess | undefined, message: ToControl | ToEdge): void {
  if (child?.connected) child.send(message, () => {})
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

async function ended(child: ChildProcess | undefined): Promise<void> {
  if (!child || hasEnded(child)) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

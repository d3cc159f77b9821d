// The services beside control, as children of `pgrove start`: started when the edge first asks for one, kept from then on.

import { fork, type ChildProcess } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { errorChain } from '../model/errors.ts'
import { serviceNames, type ServiceName } from '../model/service-routes.ts'
import type { ForkCommand } from '../processes/bounds.ts'
import type { FromService, ToService } from '../processes/messages.ts'

export type ServiceDefinition = {
  /** What it is started with. */
  nodeOptions: readonly string[]
  /** All that it is told. */
  settings: unknown
  socket: string
}

export type ServicesOptions = {
  /** As `fork` takes it. */
  main: string
  bounds: (nodeOptions: readonly string[]) => ForkCommand
  environment: () => Record<string, string>
  logFd: number
  define: (service: ServiceName) => Promise<ServiceDefinition>
  /** The edge is to know whether it can be asked. */
  changed: (service: ServiceName, isUp: boolean) => void
  say: (text: string) => void
}

const firstPauseMs = 500
const longestPauseMs = 10_000
/** One that has worked for so long did not fail to start. */
const steadyMs = 10_000
const stopTimeoutMs = 20_000

type Child = { process: ChildProcess; isUp: boolean }

export class ServiceChildren {
  readonly #options: ServicesOptions
  readonly #children = new Map<ServiceName, Child>()
  /** Wanted, and not there yet. */
  readonly #coming = new Set<ServiceName>()
  #isStopping = false

  constructor(options: ServicesOptions) {
    this.#options = options
  }

  /** The edge hears when it is there; at once, where it is. */
  want(service: ServiceName): void {
    if (this.#children.get(service)?.isUp) return this.#options.changed(service, true)
    if (this.#coming.has(service) || this.#isStopping) return
    this.#coming.add(service)
    void this.#start(service, firstPauseMs)
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all([...this.#children.values()].map(({ process }) => end(process)))
    // Whoever has given up root cannot take it away itself.
    for (const service of serviceNames) {
      const { socket } = await this.#options.define(service)
      await rm(socket, { force: true })
    }
  }

  async #start(service: ServiceName, pauseMs: number): Promise<void> {
    const { main, bounds, environment, logFd, define, changed, say } = this.#options
    const { nodeOptions, settings } = await define(service)
    const process_ = fork(main, ['service', service], {
      ...bounds([...process.execArgv, ...nodeOptions]),
      env: environment(),
      stdio: ['ignore', logFd, logFd, 'ipc'],
    })
    const child: Child = { process: process_, isUp: false }
    const startedAt = performance.now()
    this.#children.set(service, child)
    process_.on('message', (message) => {
      const heard = message as FromService
      switch (heard.kind) {
        case 'serving':
          child.isUp = true
          this.#coming.delete(service)
          changed(service, true)
          return
        case 'failed':
          say(`${service} could not start: ${heard.message}${heard.cause === undefined ? '' : ` (${heard.cause})`}`)
          return
        case 'stopped':
          return
      }
    })
    process_.on('error', (error) => say(errorChain(error)))
    process_.once('exit', (code, signal) => {
      child.isUp = false
      this.#children.delete(service)
      if (this.#isStopping) return
      changed(service, false)
      const next = performance.now() - startedAt > steadyMs ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs)
      say(`the ${service} process ended (${signal ?? code}); starting it again`)
      this.#coming.add(service)
      setTimeout(() => {
        if (!this.#isStopping) void this.#start(service, next)
      }, pauseMs)
    })
    send(process_, { kind: 'serve', settings })
  }
}

function send(child: ChildProcess, message: ToService<unknown>): void {
  if (child.connected) child.send(message, () => {})
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  send(child, { kind: 'stop' })
  await ended
  clearTimeout(timer)
}

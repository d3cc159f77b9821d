// Requests for services beside control: processes of our own that are started when somebody first asks for one, and that may be away for
// a moment. Who asks meanwhile waits for them, up to a bound.

import { Agent, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Logger } from '../lib/logger.ts'
import { serviceRouteOf, type ServiceName } from '../model/service-routes.ts'
import { answerAway, forward } from './http-forward.ts'

export type ServiceFrontOptions = {
  /** Base domains of endpoint hosts, lower case. */
  domains: readonly string[]
  /** Where each answers HTTP. */
  sockets: Readonly<Record<ServiceName, string>>
  /** Somebody asks for one that is not there as far as we know. What becomes of it, `changed` is told. */
  want(service: ServiceName): void
  trustedProxies: readonly string[]
  logger: Logger
}

const startPatienceMs = 10_000
const keepMs = 20_000
/** A start takes a second: whoever comes after so many may come again. */
const mostWaiting = 1_000

export class ServiceFront {
  readonly #options: ServiceFrontOptions
  /** Services keep a connection open for longer than that, so that none is closed under a request. */
  readonly #agent = new Agent({ keepAlive: true, timeout: keepMs })
  readonly #up = new Set<ServiceName>()
  readonly #waiting = new Map<() => void, ServiceName>()

  constructor(options: ServiceFrontOptions) {
    this.#options = options
  }

  /** How many requests wait for a service to start. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** False: the request is somebody else's. */
  handleRequest(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const route = serviceRouteOf(incoming.headers.host, incoming.url ?? '/', this.#options.domains)
    if (!route) return false
    void this.#forward(route.service, incoming, outgoing)
    return true
  }

  changed(service: ServiceName, isUp: boolean): void {
    if (!isUp) return void this.#up.delete(service)
    this.#up.add(service)
    for (const [begin, wanted] of this.#waiting) if (wanted === service) begin()
  }

  close(): void {
    for (const begin of this.#waiting.keys()) begin()
    this.#agent.destroy()
  }

  async #forward(service: ServiceName, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const isUp = this.#up.has(service) || (await this.#whenUp(service, outgoing))
    if (outgoing.destroyed) return
    const { sockets, trustedProxies, logger } = this.#options
    if (!isUp) return answerAway(incoming, outgoing, whose[service])
    forward(incoming, outgoing, {
      socketPath: sockets[service],
      agent: this.#agent,
      whose: whose[service],
      trustedProxies,
      logger,
      neverConnected: () => this.#up.delete(service),
    })
  }

  async #whenUp(service: ServiceName, outgoing: ServerResponse): Promise<boolean> {
    if (this.#waiting.size >= mostWaiting) return false
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, startPatienceMs)
    outgoing.on('close', resolve)
    this.#waiting.set(resolve, service)
    this.#options.want(service)
    await promise
    clearTimeout(timer)
    outgoing.off('close', resolve)
    this.#waiting.delete(resolve)
    return this.#up.has(service)
  }
}

/** In messages. */
const whose: Readonly<Record<ServiceName, string>> = { auth: 'sign-in', 'data-api': 'the Data API' }

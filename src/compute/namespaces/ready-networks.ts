// A few networks that are made before anybody needs them: a wake would otherwise wait for two programs.

import type { Logger } from '../../lib/logger.ts'
import { errorChain } from '../../model/errors.ts'
import type { Namespace } from './namespace.ts'
import { makeNetwork, type NetworkTools } from './own-network.ts'

export const readyNetworks = 6
/** What a start has to do at the same time goes first. */
const refillPauseMs = 200

export class ReadyNetworks {
  readonly #tools: NetworkTools
  readonly #logger: Logger
  readonly #ready: Namespace[] = []
  #timer: NodeJS.Timeout | undefined
  #filling: Promise<void> | undefined
  #closed = false

  constructor(tools: NetworkTools, logger: Logger) {
    this.#tools = tools
    this.#logger = logger
  }

  /** Whoever takes one closes it. Throws `command_failed`. */
  async take(): Promise<Namespace> {
    const ready = this.#ready.shift()
    this.#fillSoon()
    return ready ?? (await makeNetwork(this.#tools))
  }

  /** Throws `command_failed`. */
  async fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => (this.#filling = undefined))
    await this.#filling
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#filling?.catch(() => {})
    await Promise.all(this.#ready.splice(0).map((each) => each.close()))
  }

  #fillSoon(): void {
    if (this.#closed) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.fill().catch((error: unknown) => {
        this.#logger.warn({ cause: errorChain(error) }, 'no network could be made ahead for computes')
      })
    }, refillPauseMs).unref()
  }

  async #fill(): Promise<void> {
    while (!this.#closed && this.#ready.length < readyNetworks) this.#ready.push(await makeNetwork(this.#tools))
  }
}

// Runs the reconcilers, each at its own pace, never twice at once. A round that fails is simply followed by the next.

import type { Logger } from '../../lib/logger.ts'
import { errorChain } from '../../model/errors.ts'

export type Round = { name: string; everyMs: number; run(): Promise<unknown> }

export class Rounds {
  readonly #logger: Logger
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #running = new Set<Promise<void>>()
  #stopped = false

  constructor(logger: Logger) {
    this.#logger = logger
  }

  start(rounds: readonly Round[]): void {
    for (const round of rounds) this.#schedule(round)
  }

  #schedule(round: Round): void {
    if (this.#stopped) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      const running = round
        .run()
        .then(() => {})
        .catch((error: unknown) =>
          this.#logger.warn({ round: round.name, cause: errorChain(error) }, 'a reconciler failed'),
        )
        .finally(() => {
          this.#running.delete(running)
          this.#schedule(round)
        })
      this.#running.add(running)
    }, round.everyMs)
    timer.unref()
    this.#timers.add(timer)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all(this.#running)
  }
}

// What requests have come and gone for each endpoint, told to control so that a compute that is used stays awake and what is sent is metered.

import { randomUUID } from 'node:crypto'
import type { Logger } from '../../lib/logger.ts'
import { errorChain } from '../../model/errors.ts'
import type { DataApiControlPlane, EndpointActivity } from './control-plane.ts'

const everyMs = 500
/** The total of one that is left out is lost to us, and what it sends from then on counts from there. */
const mostEndpoints = 10_000

export class Activity {
  readonly #controlPlane: Pick<DataApiControlPlane, 'reportActivity'>
  readonly #logger: Logger
  readonly #run: string = randomUUID()
  readonly #totals = new Map<string, EndpointActivity>()
  readonly #news = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #reporting: Promise<void> | undefined

  constructor(controlPlane: Pick<DataApiControlPlane, 'reportActivity'>, logger: Logger) {
    this.#controlPlane = controlPlane
    this.#logger = logger
    this.#timer = setInterval(() => void this.#report(), everyMs)
    this.#timer.unref()
  }

  /** In bytes. */
  note(endpointId: string, sent: { toClient: number; fromClient: number }): void {
    const before = this.#totals.get(endpointId)
    if (!before && this.#totals.size >= mostEndpoints) return
    this.#totals.set(endpointId, {
      endpointId,
      lastActivityAt: Date.now(),
      bytesToClient: (before?.bytesToClient ?? 0) + sent.toClient,
      bytesFromClient: (before?.bytesFromClient ?? 0) + sent.fromClient,
    })
    this.#news.add(endpointId)
  }

  /** Control is another one, and knows nothing of what was told before. */
  repeat(): void {
    for (const endpointId of this.#totals.keys()) this.#news.add(endpointId)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#reporting
    await this.#report()
  }

  async #report(): Promise<void> {
    if (this.#reporting || this.#news.size === 0) return
    const told = [...this.#news]
    this.#news.clear()
    const activity = told.flatMap((endpointId) => this.#totals.get(endpointId) ?? [])
    this.#reporting = this.#controlPlane.reportActivity(activity, this.#run).catch((error: unknown) => {
      for (const endpointId of told) this.#news.add(endpointId)
      this.#logger.debug({ cause: errorChain(error) }, 'activity could not be reported')
    })
    await this.#reporting
    this.#reporting = undefined
  }
}

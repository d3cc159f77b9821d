// Who is connected to what and how much has flowed. Control decides from it who may sleep, and meters by it.
//
// Counting happens on every chunk of every connection, so a meter is a plain object whose fields are added to; the ledger only
// learns that there is something new, once a report.

import type { Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import type { ControlPlane, EndpointActivity } from './control-plane.ts'

const reportEveryMs = 250
/** One report is one line of the RPC, and those have a bound. */
const mostInOneReport = 1_000

export class EndpointMeter {
  readonly endpointId: string
  sessions = 0
  bytesToClient = 0
  bytesFromClient = 0
  lastActivityAt = 0
  #reported = true
  readonly #changed: (meter: EndpointMeter) => void

  constructor(endpointId: string, changed: (meter: EndpointMeter) => void) {
    this.endpointId = endpointId
    this.#changed = changed
  }

  touch(): void {
    this.lastActivityAt = Date.now()
    if (!this.#reported) return
    this.#reported = false
    this.#changed(this)
  }

  sessionOpened(): void {
    this.sessions++
    this.touch()
  }

  sessionClosed(): void {
    this.sessions--
    this.touch()
  }

  /** Once more, though nothing happened: whoever was told has forgotten. */
  repeat(): void {
    if (!this.#reported) return
    this.#reported = false
    this.#changed(this)
  }

  report(): EndpointActivity {
    this.#reported = true
    const { endpointId, sessions, lastActivityAt, bytesToClient, bytesFromClient } = this
    return { endpointId, sessions, lastActivityAt, bytesToClient, bytesFromClient }
  }
}

export class ActivityLedger {
  readonly #controlPlane: Pick<ControlPlane, 'reportActivity'>
  readonly #logger: Logger
  readonly #meters = new Map<string, EndpointMeter>()
  #changed: EndpointMeter[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(controlPlane: Pick<ControlPlane, 'reportActivity'>, logger: Logger) {
    this.#controlPlane = controlPlane
    this.#logger = logger
  }

  /** Only for endpoints that exist: a meter is kept for good, its totals run from our start. */
  meter(endpointId: string): EndpointMeter {
    let meter = this.#meters.get(endpointId)
    if (!meter) {
      meter = new EndpointMeter(endpointId, (changed) => {
        this.#changed.push(changed)
        this.#arm()
      })
      this.#meters.set(endpointId, meter)
    }
    return meter
  }

  /** Control came back and may have lost what it knew. */
  repeatAll(): void {
    for (const meter of this.#meters.values()) meter.repeat()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.flush()
    clearTimeout(this.#timer)
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.flush()
    }, reportEveryMs).unref()
  }

  /** Tells control at once what it has not been told. Never rejects. */
  async flush(): Promise<void> {
    const changed = this.#changed
    if (changed.length === 0) return
    this.#changed = []
    for (let at = 0; at < changed.length; at += mostInOneReport) {
      const some = changed.slice(at, at + mostInOneReport)
      try {
        await this.#controlPlane.reportActivity(some.map((meter) => meter.report()))
      } catch (error) {
        this.#logger.debug({ error: errorChain(error) }, 'activity could not be reported')
        for (const meter of some) meter.repeat()
      }
    }
  }
}

// Who is connected to what and how much has flowed. Control decides from it who may sleep, and meters by it.
//
// Counting happens on every chunk of every connection, so a meter is a plain object whose fields are added to; the ledger only
// learns that there is something new, once a report.

import type { Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import type { ControlPlane, EndpointActivity } from './control-plane.ts'
import { Latencies } from './latencies.ts'

const reportEveryMs = 250
/** One report is one line of the RPC, and those have a bound. */
const mostInOneReport = 1_000

export class EndpointMeter {
  readonly endpointId: string
  sessions = 0
  activeSessions = 0
  bytesToClient = 0
  bytesFromClient = 0
  lastActivityAt = 0
  /** When a command ended that may have changed roles, in ms since 1970; 0 where none did. */
  lastRoleChangeAt = 0
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

  rolesMayHaveChanged(): void {
    this.lastRoleChangeAt = Date.now()
  }

  /** Where no compute is disturbed by it, opening and closing are no activity. */
  sessionOpened(): void {
    this.sessions++
    this.repeat()
  }

  sessionClosed(): void {
    this.sessions--
    this.repeat()
  }

  serverTaken(): void {
    this.activeSessions++
    this.repeat()
  }

  serverLeft(): void {
    this.activeSessions--
    this.repeat()
  }

  /** Is told once more, though no bytes flowed. */
  repeat(): void {
    if (!this.#reported) return
    this.#reported = false
    this.#changed(this)
  }

  report(): EndpointActivity {
    this.#reported = true
    const { endpointId, sessions, activeSessions, lastActivityAt, bytesToClient, bytesFromClient } = this
    return { endpointId, sessions, activeSessions, lastActivityAt, bytesToClient, bytesFromClient }
  }
}

export class ActivityLedger {
  readonly latencies = new Latencies()
  /** Begins with us, as our totals do. */
  readonly #run = crypto.randomUUID()
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

  sessionsOf(endpointId: string): number {
    return this.#meters.get(endpointId)?.sessions ?? 0
  }

  lastActivity(endpointId: string): { lastActivityAt: number; lastRoleChangeAt: number } | undefined {
    return this.#meters.get(endpointId)
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
        await this.#controlPlane.reportActivity(
          some.map((meter) => meter.report()),
          this.latencies.totals(),
          this.#run,
        )
      } catch (error) {
        this.#logger.debug({ error: errorChain(error) }, 'activity could not be reported')
        for (const meter of some) meter.repeat()
      }
    }
  }
}

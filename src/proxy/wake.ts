// Where an endpoint's compute answers, started if need be. Any number of connections to one endpoint make one wake.
//
// Addresses are kept until dialling one fails, control says that the endpoint changed, or control was away and may have said so
// unheard. An answer that was on its way when the endpoint changed is given to those who asked before, and kept for nobody. That a quota
// forbids it is kept for a moment only: its clients stay connected and ask with each request.

import { SingleFlight } from '../lib/single-flight.ts'
import { isAppError, type AppError } from '../model/errors.ts'
import { writeWarning } from '../pgwire/error-fields.ts'
import type { ControlPlane, WokenCompute } from './control-plane.ts'
import type { Latencies } from './latencies.ts'

const refusedForMs = 250

export class Waker {
  readonly #controlPlane: Pick<ControlPlane, 'wake'>
  readonly #latencies: Pick<Latencies, 'woken'>
  readonly #known = new Map<string, WokenCompute>()
  readonly #flights = new SingleFlight<WokenCompute>()
  readonly #refused = new Map<string, AppError>()
  /** By endpoint; most have none. */
  readonly #notices = new Map<string, Buffer>()
  /** Endpoints with a wake on its way, and how often each was forgotten since. */
  readonly #epochs = new Map<string, number>()
  #allEpoch = 0

  constructor(controlPlane: Pick<ControlPlane, 'wake'>, latencies: Pick<Latencies, 'woken'>) {
    this.#controlPlane = controlPlane
    this.#latencies = latencies
  }

  async compute(endpointId: string): Promise<WokenCompute> {
    const known = this.#known.get(endpointId)
    if (known) return known
    const refused = this.#refused.get(endpointId)
    if (refused) throw refused
    const epoch = this.#epoch(endpointId)
    return this.#flights.run(`${endpointId} ${epoch}`, async () => {
      const since = performance.now()
      const woken = await this.#controlPlane.wake(endpointId).catch((error: unknown) => {
        if (isQuota(error) && this.#epoch(endpointId) === epoch) this.#refuse(endpointId, error)
        throw error
      })
      this.#latencies.woken(since)
      if (this.#epoch(endpointId) === epoch) {
        this.#known.set(endpointId, woken)
        this.setNotice(endpointId, woken.notice)
      }
      return woken
    })
  }

  /** Dialling this one failed; another one that has been found meanwhile stays. */
  forgetStale(endpointId: string, stale: WokenCompute): void {
    if (this.#known.get(endpointId)?.generation === stale.generation) this.#known.delete(endpointId)
  }

  #refuse(endpointId: string, error: AppError): void {
    this.#refused.set(endpointId, error)
    setTimeout(() => {
      if (this.#refused.get(endpointId) === error) this.#refused.delete(endpointId)
    }, refusedForMs).unref()
  }

  forget(endpointId: string): void {
    this.#known.delete(endpointId)
    for (const name of this.#refused.keys()) if (endpointOf(name) === endpointId) this.#refused.delete(name)
    this.#epochs.set(endpointId, (this.#epochs.get(endpointId) ?? 0) + 1)
  }

  /** A NoticeResponse for new sessions, as far as is known: control says it with an address, and when it changes. */
  noticeOf(endpointId: string): Buffer | undefined {
    return this.#notices.get(endpointId)
  }

  setNotice(endpointId: string, notice: string | null | undefined): void {
    if (notice) this.#notices.set(endpointId, writeWarning(notice))
    else this.#notices.delete(endpointId)
  }

  forgetAll(): void {
    this.#known.clear()
    this.#refused.clear()
    this.#notices.clear()
    this.#epochs.clear()
    this.#allEpoch++
  }

  #epoch(endpointId: string): string {
    return `${this.#allEpoch}.${this.#epochs.get(endpointOf(endpointId)) ?? 0}`
  }
}

/** Reads of the past are forbidden and allowed with their endpoint: `ep-…@lsn:…`. */
const endpointOf = (computeName: string): string => computeName.split('@', 1)[0] ?? computeName

/** Of a project's own: control says when it is lifted. A place among an organization's computes becomes free without a word. */
const isQuota = (error: unknown): error is AppError =>
  isAppError(error, 'quota_exceeded') && error.apiCode.endsWith('_QUOTA_EXCEEDED')

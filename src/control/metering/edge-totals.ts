// What the proxy's runs have sent to clients: totals that only grow, from which what is new is told apart.
//
// The proxy talks to strangers and is not trusted: a total that shrinks adds nothing, one that jumps beyond reason adds nothing either,
// and endpoints that do not exist are forgotten.

import type { EdgeReading } from '../../model/usage.ts'

/** Between two looks, which are a second apart. */
const largestJump = 2 ** 40
/** The proxy is not trusted with our memory. A run that is beyond them has ended long ago: there is one at a time. */
const mostRuns = 64
const mostEndpoints = 100_000

export type EdgeTotal = { endpointId: string; bytesToClient: number }

/** `bytes`: what the reading says more than the one before. */
export type Growth = { reading: EdgeReading; bytes: number }

type Run = {
  /** What is accounted for; undefined until the stored readings of this run have been looked up. */
  known: Map<string, number> | undefined
  latest: Map<string, number>
  news: Set<string>
}

export class EdgeTotals {
  readonly #runs = new Map<string, Run>()

  note(run: string, totals: readonly EdgeTotal[]): void {
    const of = this.#run(run)
    for (const { endpointId, bytesToClient } of totals) {
      const latest = of.latest.get(endpointId)
      if (!Number.isSafeInteger(bytesToClient) || bytesToClient <= (latest ?? 0)) continue
      if (latest === undefined && of.latest.size >= mostEndpoints) continue
      of.latest.set(endpointId, bytesToClient)
      of.news.add(endpointId)
    }
  }

  get hasNews(): boolean {
    return [...this.#runs.values()].some((run) => run.news.size > 0)
  }

  /** Every proxy that is alive repeats its totals when a control process comes: these are all that matter. */
  runs(): string[] {
    return [...this.#runs.keys()]
  }

  /** Runs of which it is not known what an earlier control process accounted for. */
  unknownRuns(): string[] {
    return [...this.#runs].filter(([, run]) => !run.known).map(([id]) => id)
  }

  /** All that is stored of these runs. */
  learn(runs: readonly string[], stored: readonly EdgeReading[]): void {
    for (const id of runs) {
      const run = this.#runs.get(id)
      if (run) run.known ??= new Map()
    }
    for (const { run, endpointId, bytes } of stored) this.#runs.get(run)?.known?.set(endpointId, bytes)
  }

  /** What is not accounted for yet, of the runs that are known. Each stays until it is settled. */
  growths(): Growth[] {
    const growths: Growth[] = []
    for (const [id, { known, latest, news }] of this.#runs) {
      if (!known) continue
      for (const endpointId of news) {
        const bytes = latest.get(endpointId) ?? 0
        const growth = bytes - (known.get(endpointId) ?? 0)
        if (growth > 0) growths.push({ reading: { run: id, endpointId, bytes }, bytes: growth })
        else news.delete(endpointId)
      }
    }
    return growths
  }

  settle({ run, endpointId, bytes }: EdgeReading): void {
    const of = this.#runs.get(run)
    of?.known?.set(endpointId, bytes)
    if (of?.latest.get(endpointId) === bytes) of.news.delete(endpointId)
  }

  /** Of an endpoint that there is not. */
  forget({ run, endpointId }: EdgeReading): void {
    const of = this.#runs.get(run)
    for (const part of [of?.known, of?.latest, of?.news]) part?.delete(endpointId)
  }

  #run(id: string): Run {
    const known = this.#runs.get(id)
    if (known) return known
    const run: Run = { known: undefined, latest: new Map(), news: new Set() }
    const oldest = this.runs()[0]
    if (this.#runs.size >= mostRuns && oldest !== undefined) this.#runs.delete(oldest)
    this.#runs.set(id, run)
    return run
  }
}

export const isAbsurd = ({ bytes }: Growth): boolean => bytes > largestJump

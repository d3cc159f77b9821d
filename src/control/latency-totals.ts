// A histogram that somebody else counts. Prometheus' client library only takes single observations, so its text is written here.

export type LatencyHistogram = { counts: readonly number[]; sumSeconds: number }

export class LatencyTotals {
  readonly #name: string
  readonly #help: string
  readonly #bounds: readonly number[]
  #reported: LatencyHistogram | undefined
  readonly #counts: number[]
  #sumSeconds = 0

  /** One bucket more than bounds: the last has none. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name
    this.#help = help
    this.#bounds = bounds
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** Totals since the reporter's start: where any of them has become smaller, it has begun anew and all of it is new. */
  add(totals: LatencyHistogram): void {
    const before = this.#reported
    const anew = !before || totals.counts.some((count, bucket) => count < (before.counts[bucket] ?? 0))
    for (const [bucket, count] of totals.counts.entries()) {
      if (bucket >= this.#counts.length) break
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count - (anew ? 0 : (before.counts[bucket] ?? 0))
    }
    this.#sumSeconds += Math.max(0, totals.sumSeconds - (anew ? 0 : before.sumSeconds))
    this.#reported = { counts: [...totals.counts], sumSeconds: totals.sumSeconds }
  }

  text(): string {
    const name = this.#name
    let sum = 0
    const buckets = this.#counts.map((count, bucket) => {
      sum += count
      return `${name}_bucket{le="${this.#bounds[bucket] ?? '+Inf'}"} ${sum}`
    })
    return [
      `# HELP ${name} ${this.#help}`,
      `# TYPE ${name} histogram`,
      ...buckets,
      `${name}_sum ${this.#sumSeconds}`,
      `${name}_count ${sum}`,
      '',
    ].join('\n')
  }
}

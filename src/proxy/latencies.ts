// How long connects and wakes took, as histograms since the edge's start.

import { latencyBucketsSeconds, type LatencyHistogram, type ProxyLatencies } from './control-plane.ts'

export class Latencies {
  readonly #connect = emptyHistogram()
  readonly #wake = emptyHistogram()

  /** From the accepted connection to the first ReadyForQuery. */
  connected(sinceMs: number): void {
    observe(this.#connect, (performance.now() - sinceMs) / 1000)
  }

  woken(sinceMs: number): void {
    observe(this.#wake, (performance.now() - sinceMs) / 1000)
  }

  totals(): ProxyLatencies {
    return { connect: this.#connect, wake: this.#wake }
  }
}

function emptyHistogram(): LatencyHistogram {
  return { counts: Array.from({ length: latencyBucketsSeconds.length + 1 }, () => 0), sumSeconds: 0 }
}

function observe(histogram: LatencyHistogram, seconds: number): void {
  const bucket = latencyBucketsSeconds.findIndex((bound) => seconds <= bound)
  const index = bucket < 0 ? latencyBucketsSeconds.length : bucket
  histogram.counts[index] = (histogram.counts[index] ?? 0) + 1
  histogram.sumSeconds += seconds
}

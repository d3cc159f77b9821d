// What `/metrics` shows, in Prometheus' text form: what the proxy reported of each endpoint, how long connects and wakes took, what runs.
//
// The proxy reports totals since its own start and may start anew at any time; a counter here only ever grows, by the differences.

import { Counter, Gauge, Registry } from 'prom-client'
import { LatencyTotals, type LatencyHistogram } from './latency-totals.ts'

export type EndpointTraffic = {
  /** Of an endpoint, or of a compute of its past: `ep-…@lsn:…` counts with its endpoint. */
  endpointId: string
  sessions: number
  activeSessions: number
  bytesToClient: number
  bytesFromClient: number
}

export type Latencies = { connect: LatencyHistogram; wake: LatencyHistogram }

type Known = EndpointTraffic & { labels: Labels; reportedAt: number }
type Labels = { endpoint: string; project: string }

/** Nobody is connected to it and nobody spoke of it for so long: it is dropped. */
const forgottenAfterMs = 3_600_000
/** The edge is not trusted with our memory. */
const mostEndpoints = 50_000

/** Of an endpoint whose compute runs. */
export type ComputeSizeReport = Labels & { cu: number }
export type RunningCounts = { sizes: readonly ComputeSizeReport[]; poolStarted: number; poolUnstarted: number }

export class Metrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE
  readonly #registry = new Registry()
  readonly #known = new Map<string, Known>()
  readonly #sessions = this.#endpointGauge('pgrove_endpoint_sessions', 'Client connections, those that wait too')
  readonly #active = this.#endpointGauge(
    'pgrove_endpoint_active_sessions',
    'Client connections with a server connection',
  )
  readonly #sent = this.#endpointCounter('pgrove_endpoint_bytes_sent_total', 'Bytes sent to clients')
  readonly #received = this.#endpointCounter('pgrove_endpoint_bytes_received_total', 'Bytes received from clients')
  readonly #computes = this.#gauge('pgrove_computes_running', 'Endpoints whose compute runs')
  readonly #units = this.#endpointGauge('pgrove_endpoint_compute_units', 'Size of the running compute')
  readonly #poolStarted = this.#gauge('pgrove_warm_pool_started', 'Slots that wait for a project, running')
  readonly #poolUnstarted = this.#gauge('pgrove_warm_pool_unstarted', 'Slots that wait for a project, on disk only')
  readonly #memory = this.#gauge('pgrove_control_resident_memory_bytes', 'Memory of the control process')
  readonly #heap = this.#gauge('pgrove_control_heap_used_bytes', 'JavaScript heap of the control process')
  readonly #connect: LatencyTotals
  readonly #wake: LatencyTotals
  readonly #counts: () => RunningCounts

  constructor(bucketsSeconds: readonly number[], counts: () => RunningCounts) {
    this.#counts = counts
    this.#connect = new LatencyTotals('pgrove_connect_seconds', 'From accepted to ready for a query', bucketsSeconds)
    this.#wake = new LatencyTotals('pgrove_wake_seconds', 'From asking for a compute to having it', bucketsSeconds)
  }

  /** Names in the reports that are not known yet; of those, `report` counts the ones it is told a project of. */
  unknown(traffic: readonly EndpointTraffic[]): string[] {
    return [...new Set(traffic.filter((each) => !this.#known.has(each.endpointId)).map(endpointOf))]
  }

  report(traffic: readonly EndpointTraffic[], projects: ReadonlyMap<string, string>, now: number): void {
    for (const entry of traffic) {
      const before = this.#known.get(entry.endpointId)
      const labels = before?.labels ?? labelsOf(entry, projects)
      if (!labels || (!before && this.#known.size >= mostEndpoints)) continue
      this.#sent.inc(labels, growth(before?.bytesToClient, entry.bytesToClient))
      this.#received.inc(labels, growth(before?.bytesFromClient, entry.bytesFromClient))
      this.#known.set(entry.endpointId, { ...entry, labels, reportedAt: now })
    }
  }

  reportLatencies({ connect, wake }: Latencies): void {
    this.#connect.add(connect)
    this.#wake.add(wake)
  }

  endpoints(): string[] {
    return [...new Set([...this.#known.values()].map(({ labels }) => labels.endpoint))]
  }

  /** Drops what is not used any more, and endpoints that do not exist any more. */
  forget(now: number, gone: ReadonlySet<string>): void {
    const dropped = new Map<string, Labels>()
    for (const [name, { labels, sessions, reportedAt }] of this.#known) {
      const unused = sessions === 0 && now - reportedAt > forgottenAfterMs
      if (!unused && !gone.has(labels.endpoint)) continue
      this.#known.delete(name)
      dropped.set(labels.endpoint, labels)
    }
    const left = new Set(this.endpoints())
    for (const labels of dropped.values()) {
      if (left.has(labels.endpoint)) continue
      this.#sent.remove(labels)
      this.#received.remove(labels)
    }
  }

  async text(): Promise<string> {
    this.#sessions.reset()
    this.#active.reset()
    for (const { labels, sessions, activeSessions } of this.#known.values()) {
      this.#sessions.inc(labels, sessions)
      this.#active.inc(labels, activeSessions)
    }
    const { sizes, poolStarted, poolUnstarted } = this.#counts()
    const { rss, heapUsed } = process.memoryUsage()
    this.#computes.set(sizes.length)
    this.#units.reset()
    for (const { cu, ...labels } of sizes) this.#units.set(labels, cu)
    this.#poolStarted.set(poolStarted)
    this.#poolUnstarted.set(poolUnstarted)
    this.#memory.set(rss)
    this.#heap.set(heapUsed)
    return `${await this.#registry.metrics()}${this.#connect.text()}${this.#wake.text()}`
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.#registry] })
  }

  #endpointGauge(name: string, help: string): Gauge<keyof Labels> {
    return new Gauge({ name, help, labelNames: ['endpoint', 'project'], registers: [this.#registry] })
  }

  #endpointCounter(name: string, help: string): Counter<keyof Labels> {
    return new Counter({ name, help, labelNames: ['endpoint', 'project'], registers: [this.#registry] })
  }
}

function labelsOf(entry: EndpointTraffic, projects: ReadonlyMap<string, string>): Labels | undefined {
  const endpoint = endpointOf(entry)
  const project = projects.get(endpoint)
  return project === undefined ? undefined : { endpoint, project }
}

function endpointOf({ endpointId }: EndpointTraffic): string {
  return endpointId.split('@')[0] ?? endpointId
}

/** A total that became smaller is that of a proxy that has begun anew. */
function growth(before: number | undefined, after: number): number {
  return before === undefined || after < before ? after : after - before
}

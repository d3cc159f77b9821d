// How it is: for whoever watches over `pgrove data-api`, on a port of its own.
//
//   /live    whether it listens         /config    the options in force, without secrets
//   /ready   whether it can answer      /metrics   counters, for Prometheus

import { createServer, type Server } from 'node:http'
import { Counter, Gauge, Registry } from 'prom-client'
import type { TokenCounts } from './authentication/identity.ts'

export type Health = {
  isLive: () => boolean
  isReady: () => Promise<boolean>
  /** Open connections, those of them that nobody uses, and requests that wait for one or waited in vain. */
  pool: () => { open: number; idle: number; waiting: number; timeouts: number; most: number }
  /** `tookMs`: the last one. */
  schemaLoads: () => { loaded: number; failed: number; tookMs: number }
  tokens: () => TokenCounts
  /** As a file of options. */
  config: () => string
}

export function createAdminServer(health: Health): Server {
  const registry = metricsOf(health)
  return createServer((incoming, outgoing) => {
    const answer = (status: number, body = '', type = 'text/plain; charset=utf-8'): void => {
      outgoing.writeHead(status, { 'content-type': type })
      outgoing.end(incoming.method === 'HEAD' ? undefined : body)
    }
    const respond = async (): Promise<void> => {
      if (incoming.method !== 'GET' && incoming.method !== 'HEAD') return answer(405)
      switch ((incoming.url ?? '/').split('?')[0] ?? '/') {
        case '/live':
          return answer(health.isLive() ? 200 : 503)
        case '/ready':
          return answer(health.isLive() && (await health.isReady()) ? 200 : 503)
        case '/config':
          return answer(200, health.config())
        case '/metrics':
          return answer(200, await registry.metrics(), registry.contentType)
        default:
          return answer(404)
      }
    }
    respond().catch(() => answer(500))
  })
}

function metricsOf({ pool, schemaLoads, tokens }: Health): Registry {
  const registry = new Registry()
  const gauge = (name: string, help: string, value: () => number): void => {
    const made: Gauge = new Gauge({ name, help, registers: [registry], collect: (): void => made.set(value()) })
  }
  gauge('pgrst_db_pool_max', 'Connections at most', () => pool().most)
  gauge('pgrst_db_pool_open', 'Open connections', () => pool().open)
  gauge('pgrst_db_pool_available', 'Connections that nobody uses', () => pool().idle)
  gauge('pgrst_db_pool_waiting', 'Requests that wait for a connection', () => pool().waiting)
  gauge(
    'pgrst_schema_cache_query_time_seconds',
    'How long it took to read the schema, the last time',
    () => schemaLoads().tookMs / 1000,
  )
  const counter = (name: string, help: string, value: () => number): void => {
    const made: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        made.reset()
        made.inc(value())
      },
    })
  }
  counter('pgrst_db_pool_timeouts_total', 'Requests that waited for a connection in vain', () => pool().timeouts)
  counter('pgrst_jwt_cache_requests_total', 'Tokens that were looked up', () => tokens().lookups)
  counter('pgrst_jwt_cache_hits_total', 'Tokens that were known', () => tokens().hits)
  counter(
    'pgrst_jwt_cache_evictions_total',
    'Tokens that are known no more, for want of room',
    () => tokens().evictions,
  )
  const loads: Counter = new Counter({
    name: 'pgrst_schema_cache_loads_total',
    help: 'How often the schema was read, or could not be',
    labelNames: ['status'],
    registers: [registry],
    collect() {
      const { loaded, failed } = schemaLoads()
      loads.reset()
      loads.inc({ status: 'SUCCESS' }, loaded)
      loads.inc({ status: 'FAIL' }, failed)
    },
  })
  return registry
}

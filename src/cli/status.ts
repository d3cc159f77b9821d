// `pgrove status`: what runs, and why each compute is awake.

import type { Config } from '../config.ts'
import type { SizeReason } from '../model/autoscaling.ts'
import type { AwakeReason } from '../model/compute.ts'
import type { EndpointReport } from '../control/endpoint-report.ts'
import type { Ports } from '../processes/messages.ts'
import type { StorageDescription } from '../storage/timelines.ts'
import { withAdmin } from './admin.ts'
import type { Printer } from './printer.ts'

type Report = {
  endpoints: EndpointReport[]
  pool: { started: number; unstarted: number }
  storage: StorageDescription
  free: { hostBytes: number; storageBytes: number }
  ports: Ports
}

/** Throws `unavailable` when nothing runs on the home folder. */
export async function status(config: Config, printer: Printer): Promise<void> {
  await withAdmin(config, async ({ home, pid, call }) => {
    const report = (await call('report', {})) as Report
    printer.line(`running    process ${pid}, home ${home}`)
    printer.line(
      `listening  http ${report.ports.http}, postgres ${report.ports.pg}${report.ports.https ? `, https ${report.ports.https}` : ''}`,
    )
    printer.line(`storage    ${report.storage.why}; ${gigabytes(report.free.storageBytes)} free`)
    printer.line(`warm pool  ${report.pool.started} started, ${report.pool.unstarted} unstarted`)
    printer.line(`computes   ${report.endpoints.length} awake`)
    for (const endpoint of report.endpoints.toSorted((a, b) => a.endpointId.localeCompare(b.endpointId))) {
      printer.line(
        `  ${endpoint.endpointId}  ${endpoint.projectId}  ${sizeSentence(endpoint.size)}  ${endpoint.awakeReasons.map(sentence).join(', ') || 'about to be suspended'}`,
      )
    }
  })
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`
const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`

const causes: Readonly<Record<SizeReason, string>> = {
  cpu: 'CPU',
  memory: 'memory',
  cache: 'cache',
  minimum: 'its minimum',
  maximum: 'its maximum',
}

const sizeSentence = (size: EndpointReport['size']): string =>
  size ? `${size.cu} CU (${causes[size.reason]}${size.enforced ? '' : ', not enforced'})` : ''

export function sentence(reason: AwakeReason): string {
  switch (reason.kind) {
    case 'starting':
      return 'starting'
    case 'suspend_disabled':
      return 'suspending is disabled (suspend_timeout_seconds -1)'
    case 'recent_activity':
      return `used ${reason.idleSeconds} s ago, suspends in ${reason.suspendsInSeconds} s`
    case 'active_queries':
      return plural(reason.count, 'query running', 'queries running')
    case 'open_transactions':
      return plural(reason.count, 'transaction open', 'transactions open')
    case 'replication':
      return plural(reason.count, 'replication connection', 'replication connections')
    case 'autovacuum':
      return plural(reason.count, 'autovacuum worker', 'autovacuum workers')
    case 'session_state':
      return plural(reason.count, 'session with state', 'sessions with state')
    case 'operation':
      return 'an operation is at work'
  }
}

// Endpoints, as the API shows them, and with them why a compute is awake, which Neon does not tell.

import type { Endpoint as EndpointWire, EndpointSettingsData } from '@neondatabase/api-client'
import type { Control } from '../control/control.ts'
import type { EndpointStatus } from '../control/params.ts'
import type { SizeStatus } from '../control/sizes.ts'
import { endpointState, type AwakeReason } from '../model/compute.ts'
import type { Endpoint } from '../model/endpoint.ts'
import type { Wire } from './contract/wire.ts'
import { seconds, secondsIfSet } from './timestamps.ts'

type Hosts =
  | { read_write_host: string; read_write_pooled_host: string }
  | { read_only_host: string; read_only_pooled_host: string }

/** `hosts` is newer than the contract that we are held to; `@neon/sdk` reads it. */
export type EndpointView = Wire<EndpointWire> & { hosts: Hosts; autoscaling?: SizeView }

/** Ours: Neon shows the limits and not the size itself. */
export type SizeView = {
  current_cu: number
  reason: SizeStatus['reason']
  enforced: boolean
  cpu_load?: number
  memory_bytes?: number
  cache_working_set_bytes?: number
}

/** `host` contains the endpoint's id: Neon's CLI makes the pooled host of it by text. */
export function endpointView(status: EndpointStatus, addresses: Control['addresses']): EndpointView {
  const { endpoint, compute, pendingState, size } = status
  const host = addresses.endpointHost(endpoint.id)
  return {
    host,
    hosts: hostsView(endpoint, host, addresses.poolerHost(endpoint.id)),
    id: endpoint.id,
    name: endpoint.name,
    project_id: endpoint.projectId,
    branch_id: endpoint.branchId,
    autoscaling_limit_min_cu: endpoint.autoscalingLimitMinCu,
    autoscaling_limit_max_cu: endpoint.autoscalingLimitMaxCu,
    ...(size ? { autoscaling: sizeView(size) } : {}),
    region_id: endpoint.regionId,
    type: endpoint.type,
    current_state: endpointState(compute),
    pending_state: pendingState,
    settings: settingsView(endpoint),
    pooler_enabled: false,
    pooler_mode: 'transaction',
    disabled: endpoint.disabled,
    passwordless_access: true,
    last_active: secondsIfSet(endpoint.lastActiveAt),
    creation_source: endpoint.creationSource,
    created_at: seconds(endpoint.createdAt),
    updated_at: seconds(endpoint.updatedAt),
    started_at: secondsIfSet(endpoint.startedAt),
    suspended_at: secondsIfSet(endpoint.suspendedAt),
    proxy_host: addresses.proxyHost,
    suspend_timeout_seconds: endpoint.suspendTimeoutSeconds,
    provisioner: 'k8s-neonvm',
  }
}

function sizeView({ cu, reason, enforced, load }: SizeStatus): SizeView {
  return {
    current_cu: cu,
    reason,
    enforced,
    ...(load
      ? {
          cpu_load: Math.round(load.cpus * 1000) / 1000,
          memory_bytes: load.memoryBytes,
          cache_working_set_bytes: load.cacheBytes,
        }
      : {}),
  }
}

export type AwakeReasonView =
  | { kind: 'starting' | 'suspend_disabled' }
  | { kind: 'recent_activity'; idle_seconds: number; suspends_in_seconds: number }
  | { kind: 'active_queries' | 'open_transactions' | 'replication' | 'autovacuum' | 'session_state'; count: number }
  | { kind: 'operation'; action: string }

export function awakeReasonView(reason: AwakeReason): AwakeReasonView {
  switch (reason.kind) {
    case 'recent_activity':
      return { kind: reason.kind, idle_seconds: reason.idleSeconds, suspends_in_seconds: reason.suspendsInSeconds }
    case 'active_queries':
    case 'open_transactions':
    case 'replication':
    case 'autovacuum':
    case 'session_state':
      return { kind: reason.kind, count: reason.count }
    case 'operation':
      return { kind: reason.kind, action: reason.action }
    case 'starting':
    case 'suspend_disabled':
      return { kind: reason.kind }
  }
}

function hostsView(endpoint: Endpoint, host: string, pooled: string): Hosts {
  switch (endpoint.type) {
    case 'read_write':
      return { read_write_host: host, read_write_pooled_host: pooled }
    case 'read_only':
      return { read_only_host: host, read_only_pooled_host: pooled }
  }
}

function settingsView(endpoint: Endpoint): Wire<EndpointSettingsData> {
  return {
    ...(Object.keys(endpoint.pgSettings).length > 0 ? { pg_settings: endpoint.pgSettings } : {}),
    ...(endpoint.preloadLibraries.length > 0
      ? { preload_libraries: { enabled_libraries: endpoint.preloadLibraries } }
      : {}),
  }
}

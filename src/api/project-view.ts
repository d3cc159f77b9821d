// Projects, as the API shows them: in full with current-period counters, and the shorter form of lists.

import type {
  BillingSubscriptionType,
  Project as ProjectWire,
  ProjectListItem as ProjectListItemWire,
  ProjectSettingsData as ProjectSettingsWire,
} from '@neondatabase/api-client'
import type { ProjectDetails, ProjectPage } from '../control/params.ts'
import type { EndpointDefaults, Project } from '../model/project.ts'
import { noUsage, type Usage } from '../model/usage.ts'
import type { Wire } from './contract/wire.ts'
import { seconds, secondsIfSet, zeroTime } from './timestamps.ts'
import { usageFields } from './usage-view.ts'

const mebibyte = 1_048_576
/** Neon's figure where no quota says less: the limit is the disk then. */
const anySizeBytes = 16_777_216 * mebibyte

/** As mutations answer it: without owner, and without the period, which Neon sends as the zero time. */
export function projectView(project: Project, proxyHost: string): Wire<ProjectWire> {
  return {
    ...commonFields(project, proxyHost),
    history_retention_seconds: project.historyRetentionSeconds,
    data_storage_bytes_hour: 0,
    data_transfer_bytes: 0,
    written_data_bytes: 0,
    compute_time_seconds: 0,
    active_time_seconds: 0,
    consumption_period_start: zeroTime,
    consumption_period_end: zeroTime,
  }
}

/** As `GET` answers it. */
export function projectDetailsView(details: ProjectDetails, proxyHost: string): Wire<ProjectWire> {
  const { usage, storage, storageByteHours } = details.consumption
  const periodEnd = seconds(usage.periodEnd)
  return {
    ...projectView(details.project, proxyHost),
    ...usageFields(usage),
    data_storage_bytes_hour: Math.round(storageByteHours),
    synthetic_storage_size: storage.syntheticBytes,
    consumption_period_start: seconds(usage.periodStart),
    consumption_period_end: periodEnd,
    quota_reset_at: periodEnd,
    compute_last_active_at: secondsIfSet(details.lastActiveAt),
    owner: {
      email: details.owner.email,
      name: details.owner.name,
      branches_limit: details.branchesLimit,
      subscription_type: details.plan as Wire<BillingSubscriptionType>,
    },
  }
}

export function projectListItemView(
  item: ProjectPage['projects'][number],
  proxyHost: string,
  recoveryWindowSeconds: number,
  usage: Usage = noUsage,
): Wire<ProjectListItemWire> {
  const { project, orgName, lastActiveAt } = item
  return {
    ...commonFields(project, proxyHost),
    history_retention_seconds: project.historyRetentionSeconds,
    active_time: Math.round(usage.activeSeconds),
    cpu_used_sec: Math.round(usage.computeSeconds),
    org_name: orgName,
    compute_last_active_at: secondsIfSet(lastActiveAt),
    deleted_at: secondsIfSet(project.deletedAt),
    recoverable_until: secondsIfSet(
      project.deletedAt && new Date(project.deletedAt.getTime() + recoveryWindowSeconds * 1000),
    ),
  }
}

function commonFields(project: Project, proxyHost: string) {
  return {
    id: project.id,
    platform_id: project.regionId.split('-')[0] ?? '',
    region_id: project.regionId,
    name: project.name,
    provisioner: 'k8s-neonvm',
    default_endpoint_settings: endpointDefaultsView(project.endpointDefaults),
    settings: settingsView(project),
    pg_version: project.pgMajor,
    proxy_host: proxyHost,
    branch_logical_size_limit: Math.ceil(logicalSizeLimit(project) / mebibyte),
    branch_logical_size_limit_bytes: logicalSizeLimit(project),
    store_passwords: project.storePasswords,
    cpu_used_sec: 0,
    creation_source: project.creationSource,
    created_at: seconds(project.createdAt),
    updated_at: seconds(project.updatedAt),
    owner_id: project.orgId,
    org_id: project.orgId,
  }
}

function logicalSizeLimit({ settings }: Project): number {
  const { logical_size_bytes: quota } = (settings['quota'] ?? {}) as { logical_size_bytes?: number }
  return quota !== undefined && quota > 0 ? quota : anySizeBytes
}

function endpointDefaultsView(defaults: EndpointDefaults): Wire<ProjectWire>['default_endpoint_settings'] {
  return {
    autoscaling_limit_min_cu: defaults.autoscalingLimitMinCu,
    autoscaling_limit_max_cu: defaults.autoscalingLimitMaxCu,
    suspend_timeout_seconds: defaults.suspendTimeoutSeconds,
    ...(Object.keys(defaults.pgSettings).length > 0 ? { pg_settings: defaults.pgSettings } : {}),
  }
}

/** Neon always sends these; clients read them without asking whether they are there. */
function settingsView(project: Project): Wire<ProjectSettingsWire> {
  return {
    allowed_ips: { ips: [], protected_branches_only: false },
    enable_logical_replication: false,
    maintenance_window: { weekdays: [5], start_time: '07:00', end_time: '08:00' },
    block_public_connections: false,
    block_vpc_connections: false,
    hipaa: false,
    ...(project.settings as Wire<ProjectSettingsWire>),
  }
}

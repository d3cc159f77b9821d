// From a `ComputeSpec` to the settings a postmaster starts with.
//
// The files lie beside the data directory, never in it: a branch copies data and no settings, a base backup taken by a tenant
// shows none, and a tenant who could write into the data directory still could not open a door with them. What is left in there is
// `postgresql.auto.conf`, which only a superuser can write.

import { computeSize, type ComputeSpec } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'
import { preloadableLibraries } from './extensions.ts'
import { knownPgSettings } from './pg-settings.ts'
import { socketPort } from './postgres-service.ts'

export type ConfContext = {
  socketDir: string
  hbaFile: string
  identFile: string
  /** False only while nobody has been told of the data: it is made durable as a whole afterwards. */
  fsync: boolean
  /** History: nothing of the log goes before pgrove has trimmed it. */
  keepsWal: boolean
}

/** Nothing gets in without a password, by no way but the socket. */
export const hbaConf = 'local all all scram-sha-256\nlocal replication all scram-sha-256\n'
export const identConf = ''

export function settingsFor(spec: ComputeSpec, context: ConfContext): Record<string, string> {
  const { maxConnections, sharedBuffersMb, memoryMb } = computeSize(spec.minCu)
  const unknown = spec.preloadLibraries.find((name) => !preloadableLibraries.some((each) => each === name))
  if (unknown !== undefined) throw new AppError('bad_request', `library ${JSON.stringify(unknown)} cannot be preloaded`)
  const cores = Math.max(1, Math.ceil(spec.minCu))
  const defaults: Record<string, string> = {
    // Taken once: the autoscaler moves memory and CPU, not these.
    max_connections: String(maxConnections),
    shared_buffers: `${sharedBuffersMb}MB`,
    effective_cache_size: `${Math.round(memoryMb * 0.75)}MB`,
    maintenance_work_mem: `${Math.max(64, Math.min(2048, Math.round(memoryMb / 16)))}MB`,
    max_worker_processes: String(Math.max(8, cores * 2)),
    max_parallel_workers: String(Math.max(2, cores)),
    random_page_cost: '1.1',
    // `try` asks the kernel for huge pages at every start, and pgrove's many small computes would never get them.
    huge_pages: 'off',

    // initdb lowers these two with the size of a segment.
    max_wal_size: '1GB',
    min_wal_size: '32MB',
    wal_level: spec.logicalReplication ? 'logical' : 'replica',
    wal_compression: 'on',
    max_wal_senders: '10',
    max_replication_slots: '10',

    // A transaction that somebody forgot would keep the compute awake for ever.
    idle_in_transaction_session_timeout: '5min',
    timezone: 'GMT',
    datestyle: 'ISO, MDY',
    default_text_search_config: 'pg_catalog.english',
  }
  const fixed: Record<string, string> = {
    listen_addresses: '',
    port: String(socketPort),
    unix_socket_directories: context.socketDir,
    // The folder around it decides who gets there.
    unix_socket_permissions: '0777',
    hba_file: context.hbaFile,
    ident_file: context.identFile,
    password_encryption: 'scram-sha-256',
    superuser_reserved_connections: '5',
    fsync: context.fsync ? 'on' : 'off',
    shared_preload_libraries: spec.preloadLibraries.join(', '),
    max_slot_wal_keep_size: '1GB',
    // Of one session: a sort that would fill the disk under everybody ends with an error.
    temp_file_limit: `${Math.max(2048, memoryMb * 2)}MB`,
    wal_keep_size: context.keepsWal ? '1TB' : '0',
    // No segment is used twice then, and writing each one with zeros first doubles what a bulk load writes (141 against 171 MB/s).
    wal_init_zero: context.keepsWal ? 'off' : 'on',
    // A crashed start syncs every file. Asking for the whole file system instead takes a third of the time on a quiet disk and five
    // times as long beside a neighbour who writes.
    recovery_init_sync_method: 'fsync',
    cluster_name: spec.timelineId,
    ...(spec.pgMajor >= 17 ? { allow_alter_system: 'off' } : {}),
    ...(spec.readOnly ? { default_transaction_read_only: 'on' } : {}),

    // The log is ours, and statements, parameters and rows are not: only the server's own voice, FATAL and PANIC.
    log_destination: 'stderr',
    logging_collector: 'off',
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_error_verbosity: 'terse',
    log_statement: 'none',
    log_min_duration_statement: '-1',
    log_min_duration_sample: '-1',
    log_autovacuum_min_duration: '-1',
    log_checkpoints: 'off',
    log_line_prefix: '%m [%p] ',
    log_timezone: 'GMT',
    lc_messages: 'C',
  }
  return { ...defaults, ...knownPgSettings(spec.pgSettings, spec.pgMajor), ...fixed }
}

export function renderConf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${quoted(value)}\n`)
    .join('')
}

/** Reads back what `renderConf` wrote. */
export function parseConf(conf: string): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const line of conf.split('\n')) {
    const [, name, value] = /^([\w.]+) = '(.*)'$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) settings[name] = value.replaceAll("''", "'").replaceAll('\\\\', '\\')
  }
  return settings
}

/** Names whose value is not the same in both. */
export function changedSettings(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => before[name] !== after[name])
}

/** Postgres takes these at its start only. A setting that is taken away again also counts: what it falls back to is the server's. */
export const restartSettings: ReadonlySet<string> = new Set([
  'autovacuum_freeze_max_age',
  'autovacuum_max_workers',
  'autovacuum_multixact_freeze_max_age',
  'cluster_name',
  'hba_file',
  'huge_pages',
  'ident_file',
  'listen_addresses',
  'logging_collector',
  'max_connections',
  'max_locks_per_transaction',
  'max_logical_replication_workers',
  'max_pred_locks_per_transaction',
  'max_prepared_transactions',
  'max_replication_slots',
  'max_wal_senders',
  'max_worker_processes',
  'pg_stat_statements.max',
  'port',
  'shared_buffers',
  'shared_preload_libraries',
  'superuser_reserved_connections',
  'track_activity_query_size',
  'track_commit_timestamp',
  'unix_socket_directories',
  'unix_socket_permissions',
  'wal_level',
])

function quoted(value: string): string {
  if (/[\n\r\0]/.test(value)) throw new AppError('internal', 'a setting holds a line break')
  // In a quoted value the configuration file reads backslash escapes.
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

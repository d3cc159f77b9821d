// What an endpoint's `pg_settings` may say: a closed table, name by name, with the values that Postgres takes.
//
// Closed, because one wrong setting runs commands on the host (`archive_command`), loads code (`session_preload_libraries`), opens
// a door (`hba_file`, `listen_addresses`) or fills the disk that all share (`wal_keep_size`). Strict about values, because Postgres
// refuses to start over one it cannot read. Everything here a role could mostly set for its own sessions anyway.

import type { PgMajor } from '../model/compute.ts'
import { AppError } from '../model/errors.ts'

type Kind =
  | { kind: 'boolean' }
  | { kind: 'enum'; values: readonly string[] }
  /** In the setting's own unit where the text names none; -1 or 0 often means off, so `min` says what the least is. */
  | { kind: 'number'; min: number; max: number; unit?: MemoryUnit | TimeUnit; whole: boolean }
  | { kind: 'text'; accepts: (text: string) => boolean }

type Setting = Kind & { since?: PgMajor }

const memoryUnits = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4, '8kB': 8192 } as const
const timeUnits = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const
type MemoryUnit = keyof typeof memoryUnits
type TimeUnit = keyof typeof timeUnits

const maxInt = 2_147_483_647
const boolean: Setting = { kind: 'boolean' }
const count = (min: number, max: number): Setting => ({ kind: 'number', min, max, whole: true })
const memory = (unit: MemoryUnit, min: number, max: number): Setting => ({
  kind: 'number',
  min,
  max,
  unit,
  whole: true,
})
const time = (unit: TimeUnit, min: number, max: number): Setting => ({ kind: 'number', min, max, unit, whole: true })
const real = (min: number, max: number, unit?: TimeUnit): Setting => ({
  kind: 'number',
  min,
  max,
  whole: false,
  ...(unit === undefined ? {} : { unit }),
})
const choice = (...values: string[]): Setting => ({ kind: 'enum', values })
const text = (accepts: (value: string) => boolean): Setting => ({ kind: 'text', accepts })
const from = (since: PgMajor, setting: Setting): Setting => ({ ...setting, since })

const cost = real(0, 1e10)
const identifier = '(?:[A-Za-z_][A-Za-z0-9_$]{0,62}|"(?:[^"]|""){1,63}")'
const identifierList = new RegExp(`^\\s*(?:${identifier}(?:\\s*,\\s*${identifier})*\\s*)?$`)
const threshold = choice('debug5', 'debug4', 'debug3', 'debug2', 'debug1', 'log', 'notice', 'warning', 'error')

const settings: Readonly<Record<string, Setting>> = {
  // memory
  work_mem: memory('kB', 64, maxInt),
  maintenance_work_mem: memory('kB', 64, maxInt),
  autovacuum_work_mem: memory('kB', -1, maxInt),
  logical_decoding_work_mem: memory('kB', 64, maxInt),
  temp_buffers: memory('8kB', 100, 131_072),
  hash_mem_multiplier: real(1, 1000),
  effective_cache_size: memory('8kB', 1, maxInt),
  vacuum_buffer_usage_limit: from(16, memory('kB', 0, 16_777_216)),

  // timeouts
  statement_timeout: time('ms', 0, maxInt),
  lock_timeout: time('ms', 0, maxInt),
  idle_in_transaction_session_timeout: time('ms', 0, maxInt),
  idle_session_timeout: time('ms', 0, maxInt),
  transaction_timeout: from(17, time('ms', 0, maxInt)),
  deadlock_timeout: time('ms', 1, maxInt),
  client_connection_check_interval: time('ms', 0, maxInt),
  wal_sender_timeout: time('ms', 0, maxInt),
  wal_receiver_timeout: time('ms', 0, maxInt),

  // planner
  random_page_cost: cost,
  seq_page_cost: cost,
  cpu_tuple_cost: cost,
  cpu_index_tuple_cost: cost,
  cpu_operator_cost: cost,
  parallel_setup_cost: cost,
  parallel_tuple_cost: cost,
  min_parallel_table_scan_size: memory('8kB', 0, 715_827_882),
  min_parallel_index_scan_size: memory('8kB', 0, 715_827_882),
  parallel_leader_participation: boolean,
  max_parallel_workers_per_gather: count(0, 64),
  max_parallel_maintenance_workers: count(0, 64),
  max_parallel_workers: count(0, 64),
  effective_io_concurrency: count(0, 1000),
  maintenance_io_concurrency: count(0, 1000),
  default_statistics_target: count(1, 10_000),
  from_collapse_limit: count(1, maxInt),
  join_collapse_limit: count(1, maxInt),
  geqo: boolean,
  geqo_threshold: count(2, maxInt),
  constraint_exclusion: choice('partition', 'on', 'off'),
  cursor_tuple_fraction: real(0, 1),
  plan_cache_mode: choice('auto', 'force_generic_plan', 'force_custom_plan'),
  jit: boolean,
  jit_above_cost: real(-1, 1e10),
  jit_inline_above_cost: real(-1, 1e10),
  jit_optimize_above_cost: real(-1, 1e10),
  enable_async_append: boolean,
  enable_bitmapscan: boolean,
  enable_gathermerge: boolean,
  enable_hashagg: boolean,
  enable_hashjoin: boolean,
  enable_incremental_sort: boolean,
  enable_indexonlyscan: boolean,
  enable_indexscan: boolean,
  enable_material: boolean,
  enable_memoize: boolean,
  enable_mergejoin: boolean,
  enable_nestloop: boolean,
  enable_parallel_append: boolean,
  enable_parallel_hash: boolean,
  enable_partition_pruning: boolean,
  enable_partitionwise_aggregate: boolean,
  enable_partitionwise_join: boolean,
  enable_presorted_aggregate: from(16, boolean),
  enable_seqscan: boolean,
  enable_sort: boolean,
  enable_tidscan: boolean,
  gin_fuzzy_search_limit: count(0, maxInt),
  gin_pending_list_limit: memory('kB', 64, maxInt),

  // vacuum
  autovacuum: boolean,
  autovacuum_naptime: time('s', 1, 2_147_483),
  autovacuum_max_workers: count(1, 16),
  autovacuum_vacuum_threshold: count(0, maxInt),
  autovacuum_vacuum_insert_threshold: count(-1, maxInt),
  autovacuum_analyze_threshold: count(0, maxInt),
  autovacuum_vacuum_scale_factor: real(0, 100),
  autovacuum_vacuum_insert_scale_factor: real(0, 100),
  autovacuum_analyze_scale_factor: real(0, 100),
  autovacuum_vacuum_cost_delay: real(-1, 100, 'ms'),
  autovacuum_vacuum_cost_limit: count(-1, 10_000),
  autovacuum_freeze_max_age: count(100_000, 2_000_000_000),
  autovacuum_multixact_freeze_max_age: count(10_000, 2_000_000_000),
  vacuum_cost_delay: real(0, 100, 'ms'),
  vacuum_cost_limit: count(1, 10_000),
  vacuum_freeze_min_age: count(0, 1_000_000_000),
  vacuum_freeze_table_age: count(0, 2_000_000_000),

  // write-ahead log and replication
  synchronous_commit: choice('on', 'off', 'local'),
  commit_delay: count(0, 100_000),
  commit_siblings: count(0, 1000),
  checkpoint_timeout: time('s', 30, 3600),
  checkpoint_completion_target: real(0, 1),
  max_wal_size: memory('MB', 64, 16_384),
  max_replication_slots: count(4, 64),
  max_wal_senders: count(2, 64),
  max_logical_replication_workers: count(0, 32),
  max_sync_workers_per_subscription: count(0, 16),
  max_worker_processes: count(4, 64),
  max_prepared_transactions: count(0, 1000),
  max_locks_per_transaction: count(10, 4096),
  max_pred_locks_per_transaction: count(10, 4096),
  track_commit_timestamp: boolean,

  // statistics
  track_counts: boolean,
  track_io_timing: boolean,
  track_wal_io_timing: boolean,
  track_functions: choice('none', 'pl', 'all'),
  track_activity_query_size: memory('B', 100, 65_536),
  'pg_stat_statements.max': count(100, 50_000),
  'pg_stat_statements.track': choice('none', 'top', 'all'),
  'pg_stat_statements.track_utility': boolean,
  'pg_stat_statements.track_planning': boolean,
  'pg_stat_statements.save': boolean,
  'pg_trgm.similarity_threshold': real(0, 1),
  'pg_trgm.word_similarity_threshold': real(0, 1),
  'pg_trgm.strict_word_similarity_threshold': real(0, 1),
  'hnsw.ef_search': count(1, 1000),
  'ivfflat.probes': count(1, 32_768),

  // what sessions start with
  search_path: text((value) => identifierList.test(value)),
  timezone: text(isTimezone),
  datestyle: text((value) => /^(iso|postgres|sql|german)?(\s*,?\s*(mdy|dmy|ymd))?$/i.test(value) && value !== ''),
  intervalstyle: choice('postgres', 'postgres_verbose', 'sql_standard', 'iso_8601'),
  bytea_output: choice('hex', 'escape'),
  client_min_messages: threshold,
  default_text_search_config: text((value) => /^(?:[a-z_]\w{0,62}\.)?[a-z_]\w{0,62}$/i.test(value)),
  default_toast_compression: choice('pglz'),
  default_transaction_isolation: choice('serializable', 'repeatable read', 'read committed', 'read uncommitted'),
  default_transaction_read_only: boolean,
  default_transaction_deferrable: boolean,
  extra_float_digits: count(-15, 3),
  xmlbinary: choice('base64', 'hex'),
  xmloption: choice('content', 'document'),
  row_security: boolean,
  standard_conforming_strings: boolean,
  transform_null_equals: boolean,
  array_nulls: boolean,
  check_function_bodies: boolean,
  password_encryption: choice('scram-sha-256'),
}

/** Throws `bad_request` that names the setting. Without a major, a setting that only some majors have is let through. */
export function assertPgSettings(values: Readonly<Record<string, string>>, major?: PgMajor): void {
  for (const [name, value] of Object.entries(values)) {
    const setting = settingOf(name)
    if (!setting) throw new AppError('bad_request', `setting ${JSON.stringify(shortened(name))} cannot be changed`)
    if (major !== undefined && major < (setting.since ?? 14)) {
      throw new AppError('bad_request', `setting ${name} needs Postgres ${setting.since}`)
    }
    const problem = problemWith(setting, value)
    if (problem !== undefined) throw new AppError('bad_request', `setting ${name}: ${problem}`)
  }
}

/** Those of the settings that this major knows, under their own spelling. */
export function knownPgSettings(values: Readonly<Record<string, string>>, major: PgMajor): Record<string, string> {
  const known: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) {
    const setting = settingOf(name)
    if (setting && major >= (setting.since ?? 14)) known[name.toLowerCase()] = value
  }
  return known
}

export function pgSettingNames(major: PgMajor): string[] {
  return Object.entries(settings)
    .filter(([, setting]) => major >= (setting.since ?? 14))
    .map(([name]) => name)
}

function settingOf(name: string): Setting | undefined {
  const spelled = name.toLowerCase()
  return Object.hasOwn(settings, spelled) ? settings[spelled] : undefined
}

function problemWith(setting: Setting, value: string): string | undefined {
  if (typeof value !== 'string') return 'the value must be a string'
  if (value.length > 1000 || /\p{Cc}/u.test(value)) return 'the value is too long or holds control characters'
  switch (setting.kind) {
    case 'boolean':
      return /^(on|off|true|false|yes|no|0|1)$/i.test(value) ? undefined : 'must be on or off'
    case 'enum':
      return setting.values.includes(value.toLowerCase()) ? undefined : `must be one of ${setting.values.join(', ')}`
    case 'text':
      return setting.accepts(value) ? undefined : 'not a valid value'
    case 'number': {
      const parsed = toUnit(value, setting.unit)
      const { min, max, unit, whole } = setting
      const range = `must be ${whole ? 'an integer' : 'a number'} from ${min} to ${max}${unit === undefined ? '' : `, in ${unit} where no unit is given`}`
      if (parsed === undefined || (whole && unit === undefined && !Number.isInteger(parsed))) return range
      return (whole ? Math.round(parsed) : parsed) < min || parsed > max ? range : undefined
    }
  }
}

/** `64MB` in kB is 65536; undefined where the text is no number or its unit does not fit. */
function toUnit(value: string, unit: MemoryUnit | TimeUnit | undefined): number | undefined {
  const [, digits, given] = /^\s*(-?\d{1,12}(?:\.\d{1,9})?)\s*([a-zA-Z]*)\s*$/.exec(value) ?? []
  if (digits === undefined) return undefined
  const number = Number(digits)
  if (given === '' || given === undefined) return number
  const table: Readonly<Record<string, number>> = unit !== undefined && unit in memoryUnits ? memoryUnits : timeUnits
  const base = unit === undefined ? undefined : table[unit]
  const factor = Object.hasOwn(table, given) ? table[given] : undefined
  return base === undefined || factor === undefined ? undefined : (number * factor) / base
}

function isTimezone(value: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]{0,63}$/.test(value)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

function shortened(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name
}

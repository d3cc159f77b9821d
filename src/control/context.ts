// What every part of the control plane works with. Built once, in `create-control.ts`.

import type { Cipher } from '../lib/cipher.ts'
import type { KeyedLock } from '../lib/keyed-lock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Supervisor } from '../compute/supervisor.ts'
import type { Assignments } from '../compute/assignments.ts'
import type { Storage } from '../storage/timelines.ts'
import type { Store } from '../store/database.ts'
import type { AuthOperator } from '../model/auth-operator.ts'
import type { PriceTable } from '../model/prices.ts'
import type { Owner, PgMajor } from '../model/compute.ts'
import type { ActiveComputes } from './active-computes.ts'
import type { Addresses } from './addresses.ts'
import type { AuthPlane } from './auth/auth-plane.ts'
import type { DataApiPlane } from './data-api/data-api-plane.ts'
import type { AuditLog } from './audit-log.ts'
import type { Computes } from './computes.ts'
import type { Sizes } from './sizes.ts'
import type { Metering } from './metering/metering.ts'
import type { HardLimits } from './hard-limits.ts'
import type { PastReads } from './past-reads.ts'
import type { RateLimiter } from './rate-limits.ts'
import type { ServiceSessions } from './service-sessions.ts'
import type { Runner } from './operations/runner.ts'
import type { WarmPool } from './warm-pool.ts'

/** What an operator may set per installation. */
export type Limits = {
  /** How long sessions at rest keep their compute awake for the sake of their state. */
  heldSessionMs: number
  /** How long a smaller size has to have been enough before a compute gets it. */
  scaleDownMs: number
}

export type ControlContext = {
  store: Store
  storage: Storage
  supervisor: Supervisor
  assignments: Assignments
  cipher: Cipher
  addresses: Addresses
  computes: Computes
  sizes: Sizes
  activeComputes: ActiveComputes
  metering: Metering
  runner: Runner
  pool: WarmPool
  pastReads: PastReads
  hardLimits: HardLimits
  /** For short questions to computes that run anyway. */
  sessions: ServiceSessions
  /** One lock a branch: a wake, a suspension and a step that touches the branch's compute exclude each other. */
  branchLocks: KeyedLock
  /** One lock a timeline: making something from its past and trimming that past exclude each other. */
  historyLocks: KeyedLock
  logger: Logger
  /** The engine these rows belong to; one control plane acts for one cell. */
  cell: string
  /** Tells this process' unfinished work from an earlier one's. */
  processId: string
  availableMajors: readonly PgMajor[]
  /** The uid and gid of a timeline; undefined when pgrove is not root. */
  ownerOf: (uidOffset: number) => Owner | undefined
  /** Makes the template of a major ready, the first time somebody asks for it. */
  ensureTemplate: (major: PgMajor) => Promise<void>
  /** Extensions and libraries that this major's runtime tree can preload. */
  preloadable: (major: PgMajor) => Promise<readonly string[]>
  /** What every compute of a major preloads unless its project does without; known once its template is. */
  defaultLibraries: (major: PgMajor) => readonly string[]
  /** A `pg_dump` for this major that may be run as this owner; undefined where the machine has none. */
  pgDump: (major: PgMajor, owner: Owner | undefined) => Promise<string | undefined>
  /** The service role's password for a timeline, derived from the master key. */
  servicePassword: (serviceKeyId: string) => string
  recoveryWindowSeconds: number
  /** Personal keys have to say which organization projects are created in and listed of. */
  requiresOrgId: boolean
  audit: AuditLog
  rateLimiter: RateLimiter
  prices: PriceTable
  authOperator: AuthOperator
  authPlane: AuthPlane
  dataApiPlane: DataApiPlane
  limits: Limits
}

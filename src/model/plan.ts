// What an organization may have: one table of limits, and what each plan says of them. An operator may give an organization other values.

import type { OrganizationId } from './ids.ts'

/** Switches are booleans, everything else is a number. */
export type OrganizationLimits = {
  /** Live projects. */
  projects: number
  /** Live branches of a project. */
  branchesPerProject: number
  /** Of those, branches without a parent: schema-only ones, restored snapshots and what a restore left behind too. */
  rootBranchesPerProject: number
  protectedBranchesPerProject: number
  /** Of a caller's making; scheduled ones do not count. */
  snapshotsPerProject: number
  rolesPerBranch: number
  databasesPerBranch: number
  /** Live keys of an account. */
  apiKeys: number
  /** Computes that run at the same time. */
  activeComputes: number
  /** Computes of default branches do not count among them, and are never refused for their sake. */
  defaultBranchesExempt: boolean
  minCu: number
  maxCu: number
  /** The longest window that a project may ask for. */
  historyRetentionSeconds: number
  /** All data and history of a project, beyond which nothing is added by branches and snapshots; 0: any. */
  storageBytesPerProject: number
  /** Computes may open connections to the outside: foreign data wrappers, subscriptions. */
  outbound: boolean
  /** What a new project begins with where its creator names nothing else: `settings.quota` (0: none), largest size, window. */
  newProjectActiveTimeSeconds: number
  newProjectComputeTimeSeconds: number
  newProjectWrittenDataBytes: number
  newProjectDataTransferBytes: number
  newProjectLogicalSizeBytes: number
  newProjectMaxCu: number
  newProjectHistoryRetentionSeconds: number
}

export type LimitKey = keyof OrganizationLimits
export type LimitOverrides = Partial<OrganizationLimits>

type NumberKey = { [Key in LimitKey]: OrganizationLimits[Key] extends number ? Key : never }[LimitKey]
type SwitchKey = Exclude<LimitKey, NumberKey>

/** `name` is what operators and the API call it. Numbers lie from `least` to `most`, in multiples of `step`. */
export type LimitDefinition =
  | { kind: 'number'; key: NumberKey; name: string; least: number; most: number; step: number; meaning: string }
  | { kind: 'switch'; key: SwitchKey; name: string; meaning: string }

const count = (key: NumberKey, name: string, most: number, meaning: string): LimitDefinition => ({
  kind: 'number',
  key,
  name,
  least: 0,
  most,
  step: 1,
  meaning,
})
const cu = (key: NumberKey, name: string, meaning: string): LimitDefinition => ({
  kind: 'number',
  key,
  name,
  least: 0.25,
  most: 8,
  step: 0.25,
  meaning,
})
const toggle = (key: SwitchKey, name: string, meaning: string): LimitDefinition => ({
  kind: 'switch',
  key,
  name,
  meaning,
})

const monthSeconds = 2_592_000
const any = Number.MAX_SAFE_INTEGER

/** In the order in which they are shown. */
export const limitDefinitions: readonly LimitDefinition[] = [
  count('projects', 'projects', 10_000_000, 'projects of the organization'),
  count('branchesPerProject', 'branches', 5000, 'branches of a project'),
  count('rootBranchesPerProject', 'root_branches', 5000, 'branches of a project that have no parent'),
  count('protectedBranchesPerProject', 'protected_branches', 5000, 'protected branches of a project'),
  count('snapshotsPerProject', 'snapshots', 100_000, 'manual snapshots of a project'),
  count('rolesPerBranch', 'roles', 500, 'roles of a branch'),
  count('databasesPerBranch', 'databases', 500, 'databases of a branch'),
  count('apiKeys', 'api_keys', 10_000, 'API keys of the organization'),
  count('activeComputes', 'active_computes', 100_000, 'computes that run at the same time'),
  toggle('defaultBranchesExempt', 'default_branches_exempt', 'computes of default branches are not counted'),
  cu('minCu', 'min_cu', 'smallest size of a compute'),
  cu('maxCu', 'max_cu', 'largest size of a compute'),
  count('historyRetentionSeconds', 'history_retention_seconds', monthSeconds, 'longest history window of a project'),
  count('storageBytesPerProject', 'storage_bytes', any, 'data and history of a project; 0: any'),
  toggle('outbound', 'outbound', 'computes may connect to the outside'),
  count('newProjectActiveTimeSeconds', 'quota_active_time_seconds', any, 'quota of new projects; 0: none'),
  count('newProjectComputeTimeSeconds', 'quota_compute_time_seconds', any, 'quota of new projects; 0: none'),
  count('newProjectWrittenDataBytes', 'quota_written_data_bytes', any, 'quota of new projects; 0: none'),
  count('newProjectDataTransferBytes', 'quota_data_transfer_bytes', any, 'quota of new projects; 0: none'),
  count('newProjectLogicalSizeBytes', 'quota_logical_size_bytes', any, 'quota of new projects; 0: none'),
  cu('newProjectMaxCu', 'default_max_cu', 'largest size of the computes of new projects'),
  count(
    'newProjectHistoryRetentionSeconds',
    'default_history_retention_seconds',
    monthSeconds,
    'history window of new projects',
  ),
]

/** Free of charge and bounded: what an agent platform gives to whoever tries it. Quotas are those of Neon's free-like agent tier. */
const sponsored: OrganizationLimits = {
  projects: 10_000,
  branchesPerProject: 10,
  rootBranchesPerProject: 5,
  protectedBranchesPerProject: 0,
  snapshotsPerProject: 10,
  rolesPerBranch: 500,
  databasesPerBranch: 500,
  apiKeys: 10_000,
  activeComputes: 20,
  defaultBranchesExempt: true,
  minCu: 0.25,
  maxCu: 2,
  historyRetentionSeconds: 86_400,
  storageBytesPerProject: 5_368_709_120,
  outbound: false,
  newProjectActiveTimeSeconds: 360_000,
  newProjectComputeTimeSeconds: 360_000,
  newProjectWrittenDataBytes: 0,
  newProjectDataTransferBytes: 5_368_709_120,
  newProjectLogicalSizeBytes: 536_870_912,
  newProjectMaxCu: 2,
  newProjectHistoryRetentionSeconds: 86_400,
}

const paid: OrganizationLimits = {
  ...sponsored,
  branchesPerProject: 1000,
  rootBranchesPerProject: 25,
  protectedBranchesPerProject: 5,
  snapshotsPerProject: 100,
  activeComputes: 500,
  maxCu: 8,
  historyRetentionSeconds: monthSeconds,
  storageBytesPerProject: 0,
  newProjectActiveTimeSeconds: 0,
  newProjectComputeTimeSeconds: 0,
  newProjectDataTransferBytes: 0,
  newProjectLogicalSizeBytes: 0,
}

/** By the names that the contract has for them. `scale`: the only plan that there was once, of homes that are older than the others. */
const plans = { free_v3: sponsored, scale_v3: paid, scale: paid } as const satisfies Record<string, OrganizationLimits>

export type PlanName = keyof typeof plans
export const planNames = Object.keys(plans) as readonly PlanName[]

export const isPlanName = (text: string): text is PlanName => Object.hasOwn(plans, text)

/** A plan that is not known here gets the bounded one. */
export function planLimits(plan: string): OrganizationLimits {
  return plans[isPlanName(plan) ? plan : 'free_v3']
}

/** What holds for an organization: its plan's values, and those that an operator gave it instead. */
export function effectiveLimits(plan: string, overrides: LimitOverrides): OrganizationLimits {
  return { ...planLimits(plan), ...overrides }
}

/** As its operator sees an organization. */
export type OrganizationPlan = {
  id: OrganizationId
  name: string
  plan: string
  overrides: LimitOverrides
  /** How many there are. */
  projects: number
}

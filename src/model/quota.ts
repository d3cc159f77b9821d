// The quotas of a project and what they make of a usage. Pure: nothing in here knows where figures come from or what is done about them.
//
// Four of them are of the project and of a period: what was used is used, until the next one begins. The size is of each branch by itself and
// of this moment: whoever deletes has room again, which is why writing is discouraged first and only then stopped.
//
// Source of the names and of what they stop: Neon's `ProjectQuota`.

export const usageQuotas = [
  'active_time_seconds',
  'compute_time_seconds',
  'written_data_bytes',
  'data_transfer_bytes',
] as const
export const sizeQuota = 'logical_size_bytes'

export type UsageQuota = (typeof usageQuotas)[number]
export type QuotaName = UsageQuota | typeof sizeQuota

/** In seconds, CU-seconds and bytes; 0 and absent are unlimited. */
export type Quotas = Readonly<Partial<Record<QuotaName, number>>>

export type UsageLevel = 'warned_80' | 'warned_95' | 'exceeded'
export type SizeLevel = 'warned_80' | 'warned_95' | 'read_only' | 'blocked'

/** Of a quota that is no longer fine. */
export type UsageStanding = {
  quota: UsageQuota
  level: UsageLevel
  limit: number
  used: number
  /** ISO 8601. From then on it says nothing any more. */
  periodEnd: string
}

export type SizeStanding = { level: SizeLevel; limit: number; used: number }

export type PeriodFigures = {
  periodEnd: Date
  activeSeconds: number
  computeSeconds: number
  writtenBytes: number
  transferBytes: number
}

// Percents are multiplied with, never divided by: 1.1 × 100 is more than 110.
const firstWarning = 80
const secondWarning = 95
/** A branch that is this much over its size is stopped: its sessions have turned the write protection off. */
const sizeBlocks = 110

/** Quotas that are not named here are fine. */
export function usageStandings(figures: PeriodFigures, quotas: Quotas): UsageStanding[] {
  const used: Readonly<Record<UsageQuota, number>> = {
    active_time_seconds: figures.activeSeconds,
    compute_time_seconds: figures.computeSeconds,
    written_data_bytes: figures.writtenBytes,
    data_transfer_bytes: figures.transferBytes,
  }
  return usageQuotas.flatMap((quota): UsageStanding[] => {
    const limit = quotas[quota] ?? 0
    const level = usageLevel(used[quota], limit)
    if (!level) return []
    return [{ quota, level, limit, used: Math.floor(used[quota]), periodEnd: figures.periodEnd.toISOString() }]
  })
}

/** Undefined: fine. */
export function sizeStanding(bytes: number, quotas: Quotas): SizeStanding | undefined {
  const limit = quotas[sizeQuota] ?? 0
  const level = sizeLevel(bytes, limit)
  return level && { level, limit, used: bytes }
}

function usageLevel(used: number, limit: number): UsageLevel | undefined {
  if (limit <= 0) return undefined
  return used >= limit ? 'exceeded' : warning(used, limit)
}

function sizeLevel(bytes: number, limit: number): SizeLevel | undefined {
  if (limit <= 0) return undefined
  if (isAt(sizeBlocks, bytes, limit)) return 'blocked'
  return bytes >= limit ? 'read_only' : warning(bytes, limit)
}

function warning(used: number, limit: number): 'warned_80' | 'warned_95' | undefined {
  if (isAt(secondWarning, used, limit)) return 'warned_95'
  return isAt(firstWarning, used, limit) ? 'warned_80' : undefined
}

const isAt = (percent: number, used: number, limit: number): boolean => used * 100 >= limit * percent

/**
 * What was found once, by the quotas of now: whoever raises one is not kept waiting for somebody to look again, and whoever lowers one
 * neither.
 */
export function standingsNow(
  found: { usage: readonly UsageStanding[] | undefined; size: SizeStanding | undefined },
  quotas: Quotas | undefined,
): { usageStandings: UsageStanding[] | undefined; sizeStanding: SizeStanding | undefined } {
  const usage = found.usage?.flatMap((standing): UsageStanding[] => {
    const limit = quotas?.[standing.quota] ?? 0
    const level = usageLevel(standing.used, limit)
    return level ? [{ ...standing, level, limit }] : []
  })
  return { usageStandings: usage, sizeStanding: found.size && sizeStanding(found.size.used, quotas ?? {}) }
}

/** What a project must not use any more of, if anything: a period that is over is forgiven, whether anybody has looked since or not. */
export function exceededUsage(standings: readonly UsageStanding[] | undefined, now: Date): UsageStanding | undefined {
  return standings?.find(({ level, periodEnd }) => level === 'exceeded' && now.getTime() < Date.parse(periodEnd))
}

/** New transactions are. Beyond that the compute is stopped; should it run all the same, nobody is to write. */
export function isReadOnly(standing: SizeStanding | undefined): standing is SizeStanding {
  return standing?.level === 'read_only' || standing?.level === 'blocked'
}

/** Whether two lists say the same; how much exactly was used is no difference. */
export function sameUsageStandings(a: readonly UsageStanding[], b: readonly UsageStanding[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ quota, level, limit, periodEnd }) =>
      b.some(
        (other) =>
          other.quota === quota && other.level === level && other.limit === limit && other.periodEnd === periodEnd,
      ),
    )
  )
}

export function sameSizeStanding(a: SizeStanding | undefined, b: SizeStanding | undefined): boolean {
  return a?.level === b?.level && a?.limit === b?.limit
}

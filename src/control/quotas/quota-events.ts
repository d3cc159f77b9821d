// What is told of a quota when its standing has changed: nothing on the way down but that it no longer forbids anything.

import type { EventKind } from '../../model/event.ts'
import type { BranchId, OrganizationId, ProjectId } from '../../model/ids.ts'
import {
  sizeQuota,
  type QuotaName,
  type SizeLevel,
  type SizeStanding,
  type UsageLevel,
  type UsageStanding,
} from '../../model/quota.ts'
import type { NewEvent } from '../../store/events.ts'
import { quotaWords } from './refusals.ts'

type Owner = { projectId: ProjectId; orgId: OrganizationId }
type Level = UsageLevel | SizeLevel

const ranks: Readonly<Record<Level, number>> = { warned_80: 1, warned_95: 2, exceeded: 3, read_only: 3, blocked: 4 }
const kinds: Readonly<Record<Level, EventKind>> = {
  warned_80: 'quota.warning',
  warned_95: 'quota.warning',
  exceeded: 'quota.exceeded',
  read_only: 'quota.exceeded',
  blocked: 'quota.blocked',
}
const percents: Readonly<Record<Level, number>> = {
  warned_80: 80,
  warned_95: 95,
  exceeded: 100,
  read_only: 100,
  blocked: 110,
}

/** Each once for a limit and a period. */
export function usageEvents(
  owner: Owner,
  before: readonly UsageStanding[],
  after: readonly UsageStanding[],
): NewEvent[] {
  const raised = after.flatMap((now) => {
    const was = before.find(({ quota }) => quota === now.quota)
    const isOf = was?.limit === now.limit && was.periodEnd === now.periodEnd
    if (isOf && ranks[was.level] >= ranks[now.level]) return []
    return [event(owner, { ...now, once: [now.limit, now.periodEnd] })]
  })
  const lifted = before
    .filter(
      ({ quota, level }) => level === 'exceeded' && !after.some((now) => now.quota === quota && now.level === level),
    )
    .map((was) => lift(owner, { ...was, once: [was.limit, was.periodEnd] }))
  return [...raised, ...lifted]
}

/** Each at most once an hour: deleting and writing takes a branch back and forth over its limit as often as its tenant likes. */
export function sizeEvents(
  owner: Owner,
  branchId: BranchId,
  before: SizeStanding | undefined,
  after: SizeStanding | undefined,
  now: Date,
): NewEvent[] {
  const once = [branchId, after?.limit ?? before?.limit ?? 0, now.toISOString().slice(0, 13)]
  if (after && (before?.limit !== after.limit || ranks[before.level] < ranks[after.level])) {
    return [event(owner, { ...after, quota: sizeQuota, branchId, once })]
  }
  const wasOver = before !== undefined && ranks[before.level] >= ranks.read_only
  if (wasOver && (!after || ranks[after.level] < ranks.read_only)) {
    return [lift(owner, { ...before, quota: sizeQuota, branchId, once })]
  }
  return []
}

type Told = {
  quota: QuotaName
  level: Level
  used: number
  limit: number
  periodEnd?: string
  branchId?: BranchId
  once: readonly (string | number)[]
}

function event({ projectId, orgId }: Owner, told: Told): NewEvent {
  const percent = percents[told.level]
  return {
    orgId,
    projectId,
    branchId: told.branchId,
    kind: kinds[told.level],
    message: `${subject(told)} has reached ${percent} % of its ${quotaWords(told.quota)} quota (${told.quota}): ${told.used} of ${told.limit}${consequence(told.level)}`,
    details: { ...detailsOf(told), percent, used: told.used },
    once: onceName(projectId, told.level, told),
  }
}

function lift({ projectId, orgId }: Owner, told: Told): NewEvent {
  return {
    orgId,
    projectId,
    branchId: told.branchId,
    kind: 'quota.lifted',
    message: `${subject(told)} is within its ${quotaWords(told.quota)} quota (${told.quota}) again`,
    details: detailsOf(told),
    once: onceName(projectId, 'lifted', told),
  }
}

const subject = ({ branchId }: Told): string => (branchId === undefined ? 'the project' : `branch ${branchId}`)

function consequence(level: Level): string {
  switch (level) {
    case 'warned_80':
    case 'warned_95':
      return ''
    case 'exceeded':
      return '; its computes are suspended'
    case 'read_only':
      return '; new transactions are read-only'
    case 'blocked':
      return '; its compute is suspended'
  }
}

const detailsOf = ({ quota, limit, periodEnd }: Told): NonNullable<NewEvent['details']> => ({
  quota,
  limit,
  ...(periodEnd === undefined ? {} : { period_end: periodEnd }),
})

const onceName = (projectId: ProjectId, what: string, { quota, once }: Told): string =>
  ['quota', projectId, quota, what, ...once].join('/')

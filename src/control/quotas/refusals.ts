// What is said to those who ask for a compute that a quota forbids: the quota by its name, the figures, until when, and what to do.

import { AppError } from '../../model/errors.ts'
import {
  isReadOnly,
  type QuotaName,
  type SizeStanding,
  type UsageQuota,
  type UsageStanding,
} from '../../model/quota.ts'

/** Neon's reasons, as its proxy knows them. */
const apiCodes: Readonly<Record<QuotaName, string>> = {
  active_time_seconds: 'ACTIVE_TIME_QUOTA_EXCEEDED',
  compute_time_seconds: 'COMPUTE_TIME_QUOTA_EXCEEDED',
  written_data_bytes: 'WRITTEN_DATA_QUOTA_EXCEEDED',
  data_transfer_bytes: 'DATA_TRANSFER_QUOTA_EXCEEDED',
  logical_size_bytes: 'LOGICAL_SIZE_QUOTA_EXCEEDED',
}

const words: Readonly<Record<QuotaName, { name: string; unit: string }>> = {
  active_time_seconds: { name: 'active time', unit: 'seconds' },
  compute_time_seconds: { name: 'compute time', unit: 'CU-seconds' },
  written_data_bytes: { name: 'written data', unit: 'bytes' },
  data_transfer_bytes: { name: 'data transfer', unit: 'bytes' },
  logical_size_bytes: { name: 'logical size', unit: 'bytes' },
}

export const quotaWords = (quota: QuotaName): string => words[quota].name

export const usageFigures = ({ quota, used, limit }: { quota: UsageQuota; used: number; limit: number }): string =>
  `${used} of ${limit} ${words[quota].unit} used`

export function usageExceeded(standing: UsageStanding): AppError {
  const { quota, periodEnd } = standing
  return new AppError(
    'quota_exceeded',
    `Your project has exceeded the ${quotaWords(quota)} quota (${quota}): ${usageFigures(standing)} in the period that ends ${seconds(periodEnd)}. ` +
      `Raise settings.quota.${quota} with PATCH /projects/{project_id} (0 is unlimited), or wait for the next period.`,
    { apiCode: apiCodes[quota] },
  )
}

export function sizeExceeded({ used, limit }: SizeStanding): AppError {
  return new AppError(
    'quota_exceeded',
    `Your branch has exceeded the logical size quota (logical_size_bytes): ${used} of ${limit} bytes, which is over 110 %. ` +
      'Raise settings.quota.logical_size_bytes with PATCH /projects/{project_id} (0 is unlimited), or restore the branch to an earlier state.',
    { apiCode: apiCodes.logical_size_bytes },
  )
}

/** Said to each new session of a branch that is at its size: how to go on writing, so that something can be deleted. Undefined: it is not. */
export function sizeNoticeOf(standing: SizeStanding | undefined): string | undefined {
  if (!isReadOnly(standing)) return undefined
  const { used, limit } = standing
  return (
    `the branch has reached its logical size quota (logical_size_bytes): ${used} of ${limit} bytes. New transactions are read-only. ` +
    'To delete, run SET default_transaction_read_only = off or BEGIN READ WRITE; dropping and truncating tables gives room at once, DELETE with a VACUUM FULL after it. ' +
    'At 110 % of the quota the branch is suspended. Raise it with PATCH /projects/{project_id}, settings.quota.logical_size_bytes'
  )
}

/** The API's moments have no fractions of a second. */
const seconds = (iso: string): string => iso.replace(/\.\d+Z$/, 'Z')

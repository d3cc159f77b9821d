// The counters of the current period that projects and branches have in common.

import type { Usage } from '../model/usage.ts'

export function usageFields(usage: Usage) {
  const computeSeconds = Math.round(usage.computeSeconds)
  return {
    active_time_seconds: Math.round(usage.activeSeconds),
    compute_time_seconds: computeSeconds,
    cpu_used_sec: computeSeconds,
    written_data_bytes: usage.writtenBytes,
    data_transfer_bytes: usage.transferBytes,
  }
}

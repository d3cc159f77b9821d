// Who goes when the machine runs out of memory: a tenant's backend first, then a tenant's postmaster, long before any part of pgrove.

import { readFile, writeFile } from 'node:fs/promises'
import type { Confinement } from './confinement.ts'

/** proc(5), oom_score_adj: thousandths of the machine's memory that count as used on top. */
const postmasterScore = 500
const backendScore = 600

/** postgres: src/backend/postmaster/fork_process.c. What a postmaster's children write about themselves, where there is such a file. */
export const backendsDieFirst: Readonly<Record<string, string>> = {
  PG_OOM_ADJUST_FILE: '/proc/self/oom_score_adj',
  PG_OOM_ADJUST_VALUE: String(backendScore),
}

/** Best effort: no compute stays away for want of it. */
export const dieFirst: Confinement = {
  launch: async (_spec, wanted) => wanted,
  async confine(_spec, pid) {
    const file = `/proc/${pid}/oom_score_adj`
    try {
      // Where we are far up ourselves already, nobody may go down from there.
      if (Number(await readFile(file, 'utf8')) < postmasterScore) await writeFile(file, String(postmasterScore))
    } catch {
      // Another system, or the process has ended.
    }
  },
  release: async () => {},
}

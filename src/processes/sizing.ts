// What gives computes their sizes on this machine: control groups, or figures alone.

import { openCgroups } from '../compute/cgroups/open.ts'
import { unconfined, type Confinement } from '../compute/confinement.ts'
import { ProcessSizing } from '../compute/process-sizing.ts'
import type { Sizing } from '../compute/sizing.ts'
import type { Config } from '../config.ts'
import type { Logger } from '../lib/logger.ts'
import { comeFirst } from './priority.ts'

export type OpenedSizing = { sizing: Sizing; confinement: Confinement; close(): Promise<void> }

export async function openSizing(wanted: Config['cgroups'], cell: string, logger: Logger): Promise<OpenedSizing> {
  const opened = wanted === 'off' ? { groups: undefined, why: 'PGROVE_CGROUPS is off' } : await openCgroups(cell)
  if (!opened.groups) {
    logger.info({ why: opened.why }, 'sizes of computes are not enforced')
    return { sizing: new ProcessSizing(), confinement: unconfined, close: async () => {} }
  }
  const { groups } = opened
  await groups.tidy()
  const stepBack = await comeFirst()
  logger.info({ groups: groups.description }, 'sizes of computes are enforced')
  return {
    sizing: groups,
    confinement: groups,
    async close() {
      await groups.close()
      await stepBack()
    },
  }
}

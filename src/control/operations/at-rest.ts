// Changes that are no operations, and that are made while none is at work.

import type { Caller } from '../../model/caller.ts'
import type { ControlContext } from '../context.ts'
import { schedule, type ChainPlan } from './schedule.ts'

/** No operation, but at a time when none is at work. */
export const restPlan: ChainPlan = { kind: 'rest', operations: [], exclusive: true }

/** Throws `locked` where the project has operations at work and goes on having them for a second. */
export async function atRest(control: ControlContext, caller: Caller, projectId: string): Promise<void> {
  await schedule(control, caller, projectId, async () => ({ result: undefined, plan: restPlan }))
}

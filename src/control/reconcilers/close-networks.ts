// Computes that reach the outside although their organization may not any more are put to sleep, and wake in a network of their own. Safe to
// run at any time, any number of times. One that may now and could not before has to wait for its next start: that breaks nothing.

import { errorChain } from '../../model/errors.ts'
import type { EndpointId, TimelineId } from '../../model/ids.ts'
import { getEndpointTarget } from '../../store/endpoints.ts'
import type { Serving } from '../computes.ts'
import type { ControlContext } from '../context.ts'

export async function closeNetworks(control: ControlContext): Promise<{ suspended: EndpointId[] }> {
  const suspended: EndpointId[] = []
  for (const [timelineId, serving] of control.computes.serving()) {
    // What it was started as, from memory: nobody is asked where no compute goes outside.
    if ((await control.supervisor.readSpec(timelineId))?.outbound !== true) continue
    try {
      if (await closeNetwork(control, timelineId, serving)) suspended.push(serving.endpointId)
    } catch (error) {
      control.logger.warn(
        { endpoint: serving.endpointId, cause: errorChain(error) },
        'a compute that may not connect to the outside any more could not be put to sleep',
      )
    }
  }
  return { suspended }
}

async function closeNetwork(control: ControlContext, timelineId: TimelineId, serving: Serving): Promise<boolean> {
  const target = await getEndpointTarget(control.store, serving.endpointId)
  if (!target || target.outbound) return false
  const lock = control.branchLocks.tryAcquire(serving.branchId, 'close_network')
  if (!lock) return false
  using _lock = lock
  if (control.computes.serving().get(timelineId) !== serving) return false
  await control.computes.suspend(timelineId, 'network')
  return true
}

// Gives every compute that clients use the size that its load asks for. Safe to run at any time, any number of times.
//
// What runs for us, such as a recovery or a slot of the warm pool, has no size: it is to be done soon.

import { setImmediate as pause, setTimeout as delay } from 'node:timers/promises'
import { errorChain } from '../../model/errors.ts'
import type { EndpointId, TimelineId } from '../../model/ids.ts'
import type { Serving } from '../computes.ts'
import type { ControlContext } from '../context.ts'

/** Reading one takes some tens of microseconds, in which nothing else is done. */
const atOnce = 8

/** Whoever has to give up memory for a smaller size may take longer; the others do not wait for that. */
const patienceMs = 1000

export async function autoscale(control: ControlContext): Promise<{ examined: number; resized: EndpointId[] }> {
  const { computes, pastReads, sizes } = control
  sizes.retain(computes.serving())
  const serving = [...computes.serving()]
  const resized: EndpointId[] = []
  const work: Promise<void>[] = []
  for (const [index, [timelineId, each]] of serving.entries()) {
    if (index % atOnce === 0) await pause()
    work.push(resize(control, timelineId, each).then((isResized) => void (isResized && resized.push(each.endpointId))))
  }
  for (const timelineId of pastReads.timelines()) work.push(keepSmall(control, timelineId))
  await Promise.race([Promise.all(work), delay(patienceMs, undefined, { ref: false })])
  return { examined: serving.length, resized }
}

async function resize(control: ControlContext, timelineId: TimelineId, serving: Serving): Promise<boolean> {
  const { endpointId, currentCu: from } = serving
  try {
    if (!(await control.sizes.look(timelineId, serving))) return false
    const { cu, reason } = control.sizes.of(timelineId) ?? {}
    control.logger.info({ endpoint: endpointId, timeline: timelineId, from, cu, reason }, 'compute resized')
    return true
  } catch (error) {
    control.logger.warn({ endpoint: endpointId, cause: errorChain(error) }, 'a compute could not be resized')
    return false
  }
}

/** A compute of the past is as large as its endpoint's is at least, whatever it is asked. */
async function keepSmall({ supervisor, logger }: ControlContext, timelineId: TimelineId): Promise<void> {
  try {
    const spec = await supervisor.readSpec(timelineId)
    if (!spec || !supervisor.load(timelineId)) return
    await supervisor.resize(timelineId, { cu: spec.minCu, mostCu: spec.minCu })
  } catch (error) {
    logger.warn({ timeline: timelineId, cause: errorChain(error) }, 'a compute could not be resized')
  }
}

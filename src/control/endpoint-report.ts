// Which endpoints run, and why: for `pgrove status`.

import { errorChain } from '../model/errors.ts'
import type { ControlContext } from './context.ts'
import { currentAwakeReasons } from './endpoints.ts'
import type { SizeStatus } from './sizes.ts'

export type EndpointReport = {
  endpointId: string
  projectId: string
  startedAt: number
  lastActivityAt: number
  size: SizeStatus | undefined
  awakeReasons: Awaited<ReturnType<typeof currentAwakeReasons>>
}

/** Each look is a connection to a Postgres: a few at a time. */
const looksAtOnce = 8
/** With more computes than that, a report says what is known without looking: it is asked for by somebody who waits. */
const looksAtMost = 64

export async function reportEndpoints(context: ControlContext): Promise<EndpointReport[]> {
  const reports: EndpointReport[] = []
  const all = [...context.computes.serving()]
  for (let i = 0; i < all.length; i += looksAtOnce) {
    const batch = all.slice(i, i + looksAtOnce).map(async ([timelineId, serving]) => ({
      endpointId: serving.endpointId,
      projectId: serving.projectId,
      startedAt: serving.startedAt,
      lastActivityAt: serving.lastActivityAt,
      size: context.sizes.of(timelineId),
      awakeReasons: await currentAwakeReasons(context, serving.endpointId, all.length <= looksAtMost).catch(
        (error: unknown) => {
          context.logger.warn(
            { endpoint: serving.endpointId, cause: errorChain(error) },
            'could not ask why a compute is awake',
          )
          return []
        },
      ),
    }))
    reports.push(...(await Promise.all(batch)))
  }
  return reports
}

// Control as the Data API's process sees it, at the other end of the RPC; and the other end itself.
//
// Control does not trust this process, which strangers talk to: whatever comes in is checked here before it goes any further.

import type { RpcMethods } from '../../lib/rpc.ts'
import { asRecord, isDatabaseName, isEndpointId, isText, isUuid } from '../../lib/rpc-params.ts'
import { ToldTargets } from '../../lib/told-targets.ts'
import type { DataApiTarget, DataApiTargetName } from '../../model/data-api-target.ts'
import { AppError } from '../../model/errors.ts'
import type { WokenDatabase } from '../../model/woken-database.ts'
import type {
  DataApiControlPlane,
  DataApiControlPlaneEvents,
  EndpointActivity,
  TargetChanged,
} from './control-plane.ts'

/** A wake may replay much write-ahead log; how long a request waits for it is the request's concern. */
const wakeTimeoutMs = 120_000
const callTimeoutMs = 20_000
const mostReported = 10_000

export class RpcDataApiControlPlane
  extends ToldTargets<TargetChanged>
  implements DataApiControlPlane, DataApiControlPlaneEvents
{
  async findTarget(name: DataApiTargetName): Promise<DataApiTarget | undefined> {
    const target = await this.call('findTarget', name, callTimeoutMs)
    return (target as DataApiTarget | null) ?? undefined
  }

  async wake(dataApiId: string): Promise<WokenDatabase> {
    return (await this.call('wake', { dataApiId }, wakeTimeoutMs)) as WokenDatabase
  }

  async reportActivity(activity: readonly EndpointActivity[], run: string): Promise<void> {
    await this.call('reportActivity', { activity, run }, callTimeoutMs)
  }
}

/** What control does for it; activity may be told at once. */
type Plane = Omit<DataApiControlPlane, 'reportActivity'> & {
  reportActivity(activity: readonly EndpointActivity[], run: string): void
}

/** What control serves to the Data API's process. */
export function dataApiControlPlaneMethods(plane: Plane): RpcMethods {
  return {
    findTarget: async (params) => (await plane.findTarget(readName(params))) ?? null,
    wake: (params) => plane.wake(readId(params)),
    async reportActivity(params) {
      const { run } = asRecord(params)
      if (!isText(run, 100)) throw new AppError('bad_request', 'not the name of a run')
      plane.reportActivity(readActivity(params), run)
    },
  }
}

function readName(params: unknown): DataApiTargetName {
  const { endpointId, database } = asRecord(params)
  if (isEndpointId(endpointId) && isDatabaseName(database)) return { endpointId, database }
  throw new AppError('bad_request', 'not the name of a database')
}

function readId(params: unknown): string {
  const { dataApiId } = asRecord(params)
  if (isUuid(dataApiId)) return dataApiId
  throw new AppError('bad_request', 'not the id of a Data API')
}

function readActivity(params: unknown): EndpointActivity[] {
  const { activity } = asRecord(params)
  if (!Array.isArray(activity) || activity.length > mostReported)
    throw new AppError('bad_request', 'not a list of activity')
  return activity.map((each: unknown) => {
    const { endpointId, lastActivityAt, bytesToClient, bytesFromClient } = asRecord(each)
    if (!isEndpointId(endpointId) || !isCount(lastActivityAt) || !isCount(bytesToClient) || !isCount(bytesFromClient))
      throw new AppError('bad_request', 'not the activity of an endpoint')
    return { endpointId, lastActivityAt, bytesToClient, bytesFromClient }
  })
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

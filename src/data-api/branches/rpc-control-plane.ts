// Control as the Data API's process sees it, at the other end of the RPC; and the other end itself.
//
// Control does not trust this process, which strangers talk to: whatever comes in is checked here before it goes any further.

import type { Logger } from '../../lib/logger.ts'
import { connectRpc, type RpcClient, type RpcMethods, type RpcServer } from '../../lib/rpc.ts'
import { asRecord, isDatabaseName, isEndpointId, isText, isUuid } from '../../lib/rpc-params.ts'
import type { DataApiTarget, DataApiTargetName } from '../../model/data-api-target.ts'
import { AppError } from '../../model/errors.ts'
import type {
  DataApiControlPlane,
  DataApiControlPlaneEvents,
  EndpointActivity,
  TargetChanged,
  WokenDatabase,
} from './control-plane.ts'

const targetChangedEvent = 'target_changed'
/** A wake may replay much write-ahead log; how long a request waits for it is the request's concern. */
const wakeTimeoutMs = 120_000
const callTimeoutMs = 20_000
const mostReported = 10_000

export class RpcDataApiControlPlane implements DataApiControlPlane, DataApiControlPlaneEvents {
  readonly #rpc: RpcClient
  #targetChanged: (changed: TargetChanged) => void = () => {}

  constructor(socketPath: string, logger: Logger) {
    this.#rpc = connectRpc(socketPath, {
      logger,
      // Whatever was pushed meanwhile is lost, and ports may be others.
      onConnected: () => this.#targetChanged({ what: 'all' }),
      onNotify: (event, params) => {
        if (event === targetChangedEvent) this.#targetChanged(params as TargetChanged)
      },
    })
  }

  async findTarget(name: DataApiTargetName): Promise<DataApiTarget | undefined> {
    const target = await this.#rpc.call('findTarget', name, { timeoutMs: callTimeoutMs })
    return (target as DataApiTarget | null) ?? undefined
  }

  async wake(dataApiId: string): Promise<WokenDatabase> {
    return (await this.#rpc.call('wake', { dataApiId }, { timeoutMs: wakeTimeoutMs })) as WokenDatabase
  }

  async reportActivity(activity: readonly EndpointActivity[], run: string): Promise<void> {
    await this.#rpc.call('reportActivity', { activity, run }, { timeoutMs: callTimeoutMs })
  }

  onTargetChanged(listener: (changed: TargetChanged) => void): void {
    this.#targetChanged = listener
  }

  /** Throws `unavailable` after the time. */
  whenConnected(timeoutMs: number): Promise<void> {
    return this.#rpc.whenConnected(timeoutMs)
  }

  close(): void {
    this.#rpc.close()
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

/** Returns when whoever is connected has forgotten what he held, or is not connected any more. */
export function pushTargetChanged(server: RpcServer, changed: TargetChanged): Promise<void> {
  return server.notify(targetChangedEvent, changed)
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

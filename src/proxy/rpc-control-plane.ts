// The control plane as the edge sees it, at the other end of the RPC; and the other end itself.
//
// Control does not trust the edge, which strangers talk to: whatever comes in is checked here before it goes any further.

import { connectRpc, type RpcClient, type RpcMethods, type RpcServer } from '../lib/rpc.ts'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../model/errors.ts'
import type {
  ControlPlane,
  ControlPlaneEvents,
  EndpointActivity,
  EndpointChanged,
  EndpointRoute,
  WokenCompute,
} from './control-plane.ts'
import { isComputeName, isEndpointId } from './route.ts'

const endpointChangedEvent = 'endpoint_changed'
/** A wake may replay much write-ahead log; the client waits as long as its own patience lasts. */
const wakeTimeoutMs = 120_000

export class RpcControlPlane implements ControlPlane, ControlPlaneEvents {
  readonly #rpc: RpcClient
  #endpointChanged: (changed: EndpointChanged) => void | Promise<void> = () => {}
  #connected: () => void = () => {}

  constructor(socketPath: string, logger: Logger) {
    this.#rpc = connectRpc(socketPath, {
      logger,
      onConnected: () => this.#connected(),
      onNotify: async (event, params) => {
        if (event === endpointChangedEvent) await this.#endpointChanged(params as EndpointChanged)
      },
    })
  }

  async resolve(endpointId: string): Promise<EndpointRoute | undefined> {
    return ((await this.#rpc.call('resolve', { endpointId })) as EndpointRoute | null) ?? undefined
  }

  async wake(endpointId: string): Promise<WokenCompute> {
    return (await this.#rpc.call('wake', { endpointId }, { timeoutMs: wakeTimeoutMs })) as WokenCompute
  }

  async reportActivity(activity: readonly EndpointActivity[]): Promise<void> {
    await this.#rpc.call('reportActivity', { activity })
  }

  onEndpointChanged(listener: (changed: EndpointChanged) => void | Promise<void>): void {
    this.#endpointChanged = listener
  }

  onConnected(listener: () => void): void {
    this.#connected = listener
    if (this.#rpc.connected) listener()
  }

  /** Throws `unavailable` after the time. */
  whenConnected(timeoutMs: number): Promise<void> {
    return this.#rpc.whenConnected(timeoutMs)
  }

  close(): void {
    this.#rpc.close()
  }
}

/** What control serves to the edge. */
export function controlPlaneMethods(plane: ControlPlane): RpcMethods {
  return {
    resolve: async (params) => (await plane.resolve(readEndpointId(params))) ?? null,
    wake: (params) => plane.wake(readComputeName(params)),
    reportActivity: (params) => plane.reportActivity(readActivity(params)),
  }
}

/** Returns when every edge has forgotten what it held, so that no later connect goes to the old place, and has told of those that went there. */
export function pushEndpointChanged(server: RpcServer, endpointId: string): Promise<void> {
  return server.notify(endpointChangedEvent, { endpointId } satisfies EndpointChanged)
}

function readEndpointId(params: unknown): string {
  const { endpointId } = asRecord(params)
  if (typeof endpointId !== 'string' || !isEndpointId(endpointId))
    throw new AppError('bad_request', 'not an endpoint id')
  return endpointId
}

function readComputeName(params: unknown): string {
  const { endpointId } = asRecord(params)
  if (typeof endpointId !== 'string' || !isComputeName(endpointId))
    throw new AppError('bad_request', 'not the name of a compute')
  return endpointId
}

function readActivity(params: unknown): EndpointActivity[] {
  const { activity } = asRecord(params)
  if (!Array.isArray(activity)) throw new AppError('bad_request', 'activity is not a list')
  return activity.map((entry: unknown) => {
    const fields = asRecord(entry)
    const count = (name: string): number => {
      const value = fields[name]
      if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
        throw new AppError('bad_request', `${name} is not a count`)
      }
      return value
    }
    return {
      endpointId: readComputeName(entry),
      sessions: count('sessions'),
      lastActivityAt: count('lastActivityAt'),
      bytesToClient: count('bytesToClient'),
      bytesFromClient: count('bytesFromClient'),
    }
  })
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

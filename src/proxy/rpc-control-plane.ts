// The control plane as the edge sees it, at the other end of the RPC; and the other end itself.
//
// Control does not trust the edge, which strangers talk to: whatever comes in is checked here before it goes any further.

import { connectRpc, type RpcClient, type RpcMethods, type RpcServer } from '../lib/rpc.ts'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../model/errors.ts'
import {
  latencyBucketsSeconds,
  type ControlPlane,
  type ControlPlaneEvents,
  type EndpointActivity,
  type EndpointChanged,
  type LatencyHistogram,
  type ParkReport,
  type ParkRequest,
  type ProxyLatencies,
  type RoleAccess,
  type TokenAccess,
  type WokenCompute,
} from './control-plane.ts'
import { isComputeName, isEndpointId } from './route.ts'

const endpointChangedEvent = 'endpoint_changed'
const parkEvent = 'park'
/** A wake may replay much write-ahead log; the client waits as long as its own patience lasts. */
const wakeTimeoutMs = 120_000
/** A database of control's that hangs is given up sooner, and Postgres is asked after that. */
const lookupTimeoutMs = 20_000
/** Beside the patience that was asked for: the check of a session is a few statements, and there may be thousands of them. */
const parkTimeoutMs = 3_000
/** Postgres' NAMEDATALEN - 1. */
const longestRoleBytes = 63
const longestTokenBytes = 16 * 1024
/** More than one report holds; a line of the RPC has a bound as well. */
const mostInOneReport = 10_000

export class RpcControlPlane implements ControlPlane, ControlPlaneEvents {
  readonly #rpc: RpcClient
  #endpointChanged: (changed: EndpointChanged) => void | Promise<void> = () => {}
  #park: (request: ParkRequest) => Promise<ParkReport> = async () => nothingParked
  #connected: () => void = () => {}

  constructor(socketPath: string, logger: Logger) {
    this.#rpc = connectRpc(socketPath, {
      logger,
      onConnected: () => this.#connected(),
      onNotify: async (event, params) => {
        if (event === endpointChangedEvent) return await this.#endpointChanged(params as EndpointChanged)
        if (event === parkEvent) return await this.#park(params as ParkRequest)
        return undefined
      },
    })
  }

  async lookupRole(endpointId: string, role: string): Promise<RoleAccess | undefined> {
    const access = await this.#rpc.call('lookupRole', { endpointId, role }, { timeoutMs: lookupTimeoutMs })
    return (access as RoleAccess | null) ?? undefined
  }

  async authorizeToken(endpointId: string, role: string, token: string): Promise<TokenAccess> {
    const params = { endpointId, role, token }
    return (await this.#rpc.call('authorizeToken', params, { timeoutMs: lookupTimeoutMs })) as TokenAccess
  }

  async wake(endpointId: string): Promise<WokenCompute> {
    return (await this.#rpc.call('wake', { endpointId }, { timeoutMs: wakeTimeoutMs })) as WokenCompute
  }

  async reportActivity(activity: readonly EndpointActivity[], latencies: ProxyLatencies, run: string): Promise<void> {
    await this.#rpc.call('reportActivity', { activity, latencies, run })
  }

  onEndpointChanged(listener: (changed: EndpointChanged) => void | Promise<void>): void {
    this.#endpointChanged = listener
  }

  onPark(listener: (request: ParkRequest) => Promise<ParkReport>): void {
    this.#park = listener
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

const nothingParked: ParkReport = { parked: 0, busy: 0, held: 0 }

/** What control serves to the edge. */
export function controlPlaneMethods(plane: ControlPlane): RpcMethods {
  return {
    lookupRole: async (params) => (await plane.lookupRole(readEndpointId(params), readRole(params))) ?? null,
    authorizeToken: (params) => plane.authorizeToken(readEndpointId(params), readRole(params), readToken(params)),
    wake: (params) => plane.wake(readComputeName(params)),
    reportActivity: (params) => plane.reportActivity(readActivity(params), readLatencies(params), readRun(params)),
  }
}

/** Returns when every edge has forgotten what it held, so that no later connect goes to the old place, and has told of those that went there. */
export function pushEndpointChanged(
  server: RpcServer,
  endpointId: string,
  what: EndpointChanged['what'] = 'all',
  notice?: EndpointChanged['notice'],
): Promise<void> {
  return server.notify(endpointChangedEvent, { endpointId, what, notice } satisfies EndpointChanged)
}

/** The sum over all edges. One that does not answer has nothing to say: whoever stops a compute does not wait for it for ever. */
export async function askToPark(server: RpcServer, request: ParkRequest): Promise<ParkReport> {
  const answers = await server.ask(parkEvent, request, request.patienceMs + parkTimeoutMs)
  const sum = { ...nothingParked }
  for (const answer of answers) {
    const fields = asRecord(answer)
    // An answer of nonsense says nothing either.
    for (const name of ['parked', 'busy', 'held'] as const) sum[name] += isCount(fields[name]) ? fields[name] : 0
  }
  return sum
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

function readRole(params: unknown): string {
  const { role } = asRecord(params)
  if (typeof role !== 'string' || role === '' || role.includes('\0') || Buffer.byteLength(role) > longestRoleBytes)
    throw new AppError('bad_request', 'not the name of a role')
  return role
}

function readToken(params: unknown): string {
  const { token } = asRecord(params)
  if (typeof token !== 'string' || Buffer.byteLength(token) > longestTokenBytes)
    throw new AppError('bad_request', `not a token of at most ${longestTokenBytes} bytes`)
  return token
}

function readActivity(params: unknown): EndpointActivity[] {
  const { activity } = asRecord(params)
  if (!Array.isArray(activity) || activity.length > mostInOneReport)
    throw new AppError('bad_request', "activity is not a list of a report's length")
  return activity.map((entry: unknown) => {
    const fields = asRecord(entry)
    return {
      endpointId: readComputeName(entry),
      sessions: readCount(fields, 'sessions'),
      activeSessions: readCount(fields, 'activeSessions'),
      lastActivityAt: readCount(fields, 'lastActivityAt'),
      bytesToClient: readCount(fields, 'bytesToClient'),
      bytesFromClient: readCount(fields, 'bytesFromClient'),
    }
  })
}

const runPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

function readRun(params: unknown): string {
  const { run } = asRecord(params)
  if (typeof run !== 'string' || !runPattern.test(run)) throw new AppError('bad_request', 'not the name of a run')
  return run
}

function readLatencies(params: unknown): ProxyLatencies {
  const { connect, wake } = asRecord(asRecord(params)['latencies'])
  return { connect: readHistogram(connect), wake: readHistogram(wake) }
}

/** One count a bucket, and one for what is beyond the last of them. */
function readHistogram(value: unknown): LatencyHistogram {
  const fields = asRecord(value)
  const { counts } = fields
  if (!Array.isArray(counts) || counts.length !== latencyBucketsSeconds.length + 1)
    throw new AppError('bad_request', 'not a histogram of latencies')
  return { counts: counts.map((count) => toCount(count, 'counts')), sumSeconds: readCount(fields, 'sumSeconds') }
}

function readCount(fields: Readonly<Record<string, unknown>>, name: string): number {
  return toCount(fields[name], name)
}

function toCount(value: unknown, name: string): number {
  if (isCount(value)) return value
  throw new AppError('bad_request', `${name} is not a count`)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

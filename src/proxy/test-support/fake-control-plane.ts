// A control plane of a few endpoints, that counts what it is asked.

import { AppError } from '../../model/errors.ts'
import type {
  ControlPlane,
  ControlPlaneEvents,
  EndpointActivity,
  EndpointChanged,
  ParkReport,
  ParkRequest,
  ProxyLatencies,
  RoleAccess,
  TokenAccess,
  WokenCompute,
} from '../control-plane.ts'

export class FakeControlPlane implements ControlPlane, ControlPlaneEvents {
  readonly wakes: string[] = []
  readonly lookups: string[] = []
  readonly activity = new Map<string, EndpointActivity>()
  reports = 0
  latencies: ProxyLatencies | undefined
  endpointChanged: (changed: EndpointChanged) => void | Promise<void> = () => {}
  park: (request: ParkRequest) => Promise<ParkReport> = async () => ({ parked: 0, busy: 0, held: 0 })
  connected: () => void = () => {}
  /** What every role of every endpoint is told about; the verifier is asked for each time. */
  access: Omit<RoleAccess, 'verifier'> = {
    projectId: 'project',
    allowedIps: undefined,
    publicBlocked: false,
    pgMajor: 17,
    poolSize: 20,
  }
  readonly #computes: Readonly<Record<string, () => Promise<WokenCompute>>>
  readonly #verifierOf: (role: string) => Promise<string | undefined>

  constructor(
    computes: Readonly<Record<string, () => Promise<WokenCompute>>>,
    verifierOf: (role: string) => Promise<string | undefined> = async () => undefined,
  ) {
    this.#computes = computes
    this.#verifierOf = verifierOf
  }

  async lookupRole(endpointId: string, role: string): Promise<RoleAccess | undefined> {
    this.lookups.push(`${endpointId} ${role}`)
    if (!Object.hasOwn(this.#computes, endpointId)) return undefined
    return { ...this.access, verifier: await this.#verifierOf(role) }
  }

  async authorizeToken(_endpointId: string, _role: string, _token: string): Promise<TokenAccess> {
    throw new AppError('unauthorized', 'no token is good enough')
  }

  async wake(endpointId: string): Promise<WokenCompute> {
    this.wakes.push(endpointId)
    const compute = Object.hasOwn(this.#computes, endpointId) ? this.#computes[endpointId] : undefined
    if (!compute) throw new AppError('endpoint_not_found', `endpoint ${endpointId} does not exist`)
    return compute()
  }

  async reportActivity(activity: readonly EndpointActivity[], latencies: ProxyLatencies): Promise<void> {
    this.reports++
    this.latencies = latencies
    for (const entry of activity) this.activity.set(entry.endpointId, entry)
  }

  onEndpointChanged(listener: (changed: EndpointChanged) => void | Promise<void>): void {
    this.endpointChanged = listener
  }

  onPark(listener: (request: ParkRequest) => Promise<ParkReport>): void {
    this.park = listener
  }

  onConnected(listener: () => void): void {
    this.connected = listener
  }
}

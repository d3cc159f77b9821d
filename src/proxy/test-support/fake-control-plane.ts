// A control plane of a few endpoints, that counts what it is asked.

import { AppError } from '../../model/errors.ts'
import type {
  ControlPlane,
  ControlPlaneEvents,
  EndpointActivity,
  EndpointChanged,
  EndpointRoute,
  WokenCompute,
} from '../control-plane.ts'

export class FakeControlPlane implements ControlPlane, ControlPlaneEvents {
  readonly wakes: string[] = []
  readonly activity = new Map<string, EndpointActivity>()
  reports = 0
  endpointChanged: (changed: EndpointChanged) => void = () => {}
  connected: () => void = () => {}
  readonly #computes: Readonly<Record<string, () => Promise<WokenCompute>>>

  constructor(computes: Readonly<Record<string, () => Promise<WokenCompute>>>) {
    this.#computes = computes
  }

  async resolve(endpointId: string): Promise<EndpointRoute | undefined> {
    return Object.hasOwn(this.#computes, endpointId) ? { endpointId, projectId: 'project', disabled: false } : undefined
  }

  async wake(endpointId: string): Promise<WokenCompute> {
    this.wakes.push(endpointId)
    const compute = Object.hasOwn(this.#computes, endpointId) ? this.#computes[endpointId] : undefined
    if (!compute) throw new AppError('endpoint_not_found', `endpoint ${endpointId} does not exist`)
    return compute()
  }

  async reportActivity(activity: readonly EndpointActivity[]): Promise<void> {
    this.reports++
    for (const entry of activity) this.activity.set(entry.endpointId, entry)
  }

  onEndpointChanged(listener: (changed: EndpointChanged) => void): void {
    this.endpointChanged = listener
  }

  onConnected(listener: () => void): void {
    this.connected = listener
  }
}

// What control has told us of integrations.

import { KnownTargets } from '../lib/known-targets.ts'
import type { AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import type { AuthControlPlane, TargetChanged } from './control-plane.ts'

export class Targets {
  readonly #known: KnownTargets<AuthTargetName, AuthTarget>

  constructor(controlPlane: Pick<AuthControlPlane, 'findTarget'>) {
    this.#known = new KnownTargets({ ask: (name) => controlPlane.findTarget(name), keyOf })
  }

  /** Throws `unavailable`. */
  find(name: AuthTargetName): Promise<AuthTarget | undefined> {
    return this.#known.find(name)
  }

  forget({ integrationId, endpointId, what }: TargetChanged): void {
    if (what === 'address') return
    const isAll = integrationId === undefined && endpointId === undefined
    this.#known.forget((target) => isAll || target.integrationId === integrationId || target.endpointId === endpointId)
  }
}

function keyOf(name: AuthTargetName): string {
  return name.kind === 'project' ? `project ${name.id}` : `endpoint ${name.endpointId} ${name.database ?? ''}`
}

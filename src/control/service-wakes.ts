// Wakes of computes for a service beside control: by the id of what is served there, and with the password of the role that the service
// comes in as.

import type { Cipher } from '../lib/cipher.ts'
import { AppError, isAppError } from '../model/errors.ts'
import type { EndpointId, TimelineId } from '../model/ids.ts'
import type { WokenDatabase } from '../model/woken-database.ts'
import { getEndpointTarget } from '../store/endpoints.ts'
import type { Running } from './computes.ts'
import type { ControlContext } from './context.ts'

export type ServiceWakesOptions = {
  context: () => ControlContext
  /** Where the thing of this id is served now. Undefined: nowhere any more. */
  endpointOf: (id: string) => Promise<EndpointId | undefined>
  /** Of the service's role. */
  passwordOf: (cipher: Cipher, serviceKeyId: string) => string
  wake: (endpointId: EndpointId) => Promise<Running>
  /** Before anybody is served from this data, whose compute runs. Throws where it cannot be made ready. */
  prepare: (id: string, timelineId: TimelineId) => Promise<void>
  /** What one who asks for an id that leads nowhere is told. */
  missing: string
}

const mostRemembered = 10_000
const mostTries = 5

export class ServiceWakes {
  readonly #options: ServiceWakesOptions
  /** Of those that were found: a wake has to work while the control database is away. */
  readonly #endpoints = new Map<string, EndpointId>()

  constructor(options: ServiceWakesOptions) {
    this.#options = options
  }

  /** Throws what a connect would hear. */
  async wake(id: string): Promise<WokenDatabase> {
    const { context, wake, prepare } = this.#options
    const endpointId = await this.#endpointOf(id)
    for (let tries = 1; ; tries++) {
      const { socketDir, generation } = await wake(endpointId)
      const serving = context().computes.servingEndpoint(endpointId)
      if (serving) {
        await prepare(id, serving.timelineId)
        return { socketDir, generation, password: await this.#passwordOf(endpointId) }
      }
      // It went to sleep again right away: it need not stay awake for us.
      if (tries === mostTries)
        throw new AppError('unavailable', 'the compute went away; try again', { retryAfterSeconds: 1 })
    }
  }

  remember(id: string, endpointId: EndpointId): void {
    this.#endpoints.delete(id)
    this.#endpoints.set(id, endpointId)
    for (const oldest of this.#endpoints.keys()) {
      if (this.#endpoints.size <= mostRemembered) break
      this.#endpoints.delete(oldest)
    }
  }

  async #endpointOf(id: string): Promise<EndpointId> {
    try {
      const found = await this.#options.endpointOf(id)
      if (!found) throw new AppError('not_found', this.#options.missing)
      this.remember(id, found)
      return found
    } catch (error) {
      const known = this.#endpoints.get(id)
      if (known && isAppError(error, 'control_database_unavailable')) return known
      throw error
    }
  }

  /** Of whatever serves the endpoint at this moment: a restore puts another timeline in its place. */
  async #passwordOf(endpointId: EndpointId): Promise<string> {
    const { context, passwordOf } = this.#options
    const { store, assignments, cipher } = context()
    try {
      const target = await getEndpointTarget(store, endpointId)
      return passwordOf(cipher, target?.serviceKeyId ?? '')
    } catch (error) {
      const assignment = await assignments.read(endpointId)
      if (!assignment || !isAppError(error, 'control_database_unavailable')) throw error
      return passwordOf(cipher, assignment.spec.serviceKeyId)
    }
  }
}

// Control at the other end of a service's RPC: it answers calls, and says of which targets what is held is no longer true.

import type { Logger } from './logger.ts'
import { connectRpc, type RpcClient, type RpcServer } from './rpc.ts'

const targetChangedEvent = 'target_changed'

/** `Changed`: names targets. Without a name it means all of them. */
export class ToldTargets<Changed extends { what: 'address' | 'all' }> {
  readonly #rpc: RpcClient
  #targetChanged: (changed: Changed | { what: 'all' }) => void = () => {}

  constructor(socketPath: string, logger: Logger) {
    this.#rpc = connectRpc(socketPath, {
      logger,
      // Whatever was pushed meanwhile is lost, and ports may be others.
      onConnected: () => this.#targetChanged({ what: 'all' }),
      onNotify: (event, params) => {
        if (event === targetChangedEvent) this.#targetChanged(params as Changed)
      },
    })
  }

  call(method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    return this.#rpc.call(method, params, { timeoutMs })
  }

  onTargetChanged(listener: (changed: Changed | { what: 'all' }) => void): void {
    this.#targetChanged = listener
  }

  close(): void {
    this.#rpc.close()
  }
}

/** Returns when whoever is connected has forgotten what he held, or is not connected any more. */
export function pushTargetChanged(server: RpcServer, changed: { what: 'address' | 'all' }): Promise<void> {
  return server.notify(targetChangedEvent, changed)
}

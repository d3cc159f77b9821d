// What the proxy needs to know and to have done. `control/` satisfies it, tests pass a fake, and in between lies the RPC.

export type EndpointRoute = {
  endpointId: string
  projectId: string
  disabled: boolean
}

export type WokenCompute = {
  /** Folder of the Unix socket; the socket's name in it is `.s.PGSQL.5432`. */
  socketDir: string
  /** Changes whenever another process answers: a cached address of an older generation is stale. */
  generation: string
}

/** Sent by the proxy, at most a few times a second, for endpoints where something changed. Totals since the proxy's start. */
export type EndpointActivity = {
  endpointId: string
  sessions: number
  lastActivityAt: number
  bytesToClient: number
  bytesFromClient: number
}

export interface ControlPlane {
  /** Undefined for an endpoint that does not exist. */
  resolve(endpointId: string): Promise<EndpointRoute | undefined>
  /** Starts the compute if need be and waits until it answers. Throws AppError: endpoint_not_found, endpoint_disabled, compute_start_failed, unavailable … */
  wake(endpointId: string): Promise<WokenCompute>
  reportActivity(activity: readonly EndpointActivity[]): Promise<void>
}

/** Pushed by control: what the proxy holds about this endpoint is no longer true. */
export type EndpointChanged = { endpointId: string }

/** How the proxy hears of changes. Each method takes one listener. */
export interface ControlPlaneEvents {
  /** Control goes on when the listener is done, or after a bounded time. */
  onEndpointChanged(listener: (changed: EndpointChanged) => void | Promise<void>): void
  /** Control is there, for the first time or again: what it said or was told before may be lost. */
  onConnected(listener: () => void): void
}

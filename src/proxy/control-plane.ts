// What the proxy needs to know and to have done. `control/` satisfies it, tests pass a fake, and in between lies the RPC.

/** What has to be known before somebody is let in. Nothing in it opens a database: a verifier checks a password and is none. */
export type RoleAccess = {
  projectId: string
  /** As in `pg_authid.rolpassword`; undefined where there is no such role, or none that may log in with a password. */
  verifier: string | undefined
  /** Single addresses, ranges `a-b`, CIDR. Undefined: everybody. */
  allowedIps: readonly string[] | undefined
  /** Only private addresses and this machine may connect. */
  publicBlocked: boolean
  pgMajor: number
  /** How many server connections the pooler may open for one role and database. */
  poolSize: number
}

export type WokenCompute = {
  /** Folder of the Unix socket; the socket's name in it is `.s.PGSQL.5432`. */
  socketDir: string
  /** Changes whenever another process answers: a cached address of an older generation is stale. */
  generation: string
  /** What new sessions are told. */
  notice?: string | undefined
}

/** What SCRAM yields to whoever has checked a password: enough to log in as that role, and not the password. Base64 on the RPC. */
export type TokenAccess = {
  clientKey: string
  serverKey: string
  /** JSON text of the token's claims, to be set as `request.jwt.claims`. */
  claims: string
}

/** Upper bounds in seconds of the histograms' buckets; the last bucket has none. Cumulative counts are made where they are shown. */
export const latencyBucketsSeconds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const

export type LatencyHistogram = { counts: number[]; sumSeconds: number }

/** Sent by the proxy, at most a few times a second, for endpoints where something changed. Totals since the proxy's start, its `run`. */
export type EndpointActivity = {
  endpointId: string
  /** Client connections, also those that are parked or wait in the pooler. */
  sessions: number
  /** Of those, with a server connection of their own or of the pool at this moment. */
  activeSessions: number
  lastActivityAt: number
  bytesToClient: number
  bytesFromClient: number
}

/** Of the whole proxy, since its start. */
export type ProxyLatencies = { connect: LatencyHistogram; wake: LatencyHistogram }

/** Asked by control before it stops a compute: what of its sessions can do without it, does from then on. */
export type ParkRequest = {
  /** An endpoint, or a compute of its past: `ep-…@lsn:…`. */
  endpointId: string
  /** `suspend`: only if nobody is at work. `drain`: it will be stopped anyway; those at work get the time to end. */
  mode: 'suspend' | 'drain'
  /** How long to wait for sessions to come to rest; 0 asks once. */
  patienceMs: number
  /** A session at rest with state that would be lost is ended with a clear error instead of being left alone. */
  endHeld: boolean
  /** What clients are told that cannot be set aside in time, in place of Postgres' own farewell. Undefined: they hear that one. */
  farewell?: string | undefined
}

export type ParkReport = {
  /** Sessions without a server connection now, which the next message wakes. */
  parked: number
  /** In the middle of something. */
  busy: number
  /** At rest, with state that lives in the server (a temporary table, `LISTEN`, `SET` …). */
  held: number
}

export interface ControlPlane {
  /** Undefined for an endpoint that does not exist. */
  lookupRole(endpointId: string, role: string): Promise<RoleAccess | undefined>
  /** A role's keys in exchange for a JWT of one of the project's key sets. Throws AppError `unauthorized`, `endpoint_not_found`. */
  authorizeToken(endpointId: string, role: string, token: string): Promise<TokenAccess>
  /** Starts the compute if need be and waits until it answers. Throws AppError: endpoint_not_found, endpoint_disabled, compute_start_failed, unavailable … */
  wake(endpointId: string): Promise<WokenCompute>
  /** `run` names this start of the proxy: totals of two runs have nothing to do with each other. A report may be repeated. */
  reportActivity(activity: readonly EndpointActivity[], latencies: ProxyLatencies, run: string): Promise<void>
}

/** Pushed by control: what the proxy holds about this endpoint is no longer true. `address`: only where its compute answers. */
export type EndpointChanged = {
  endpointId: string
  what: 'address' | 'all'
  /** What new sessions are told from now on; null is nothing, undefined is as before. */
  notice?: string | null | undefined
}

/** How the proxy hears of changes. Each method takes one listener. */
export interface ControlPlaneEvents {
  /** Control goes on when the listener is done, or after a bounded time. */
  onEndpointChanged(listener: (changed: EndpointChanged) => void | Promise<void>): void
  onPark(listener: (request: ParkRequest) => Promise<ParkReport>): void
  /** Control is there, for the first time or again: what it said or was told before may be lost. */
  onConnected(listener: () => void): void
}

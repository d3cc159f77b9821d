// What the proxy is asked before a compute is stopped: sessions that can do without it are set aside and go on with the next message.

export type ParkRequest = {
  endpointId: string
  /** `suspend`: only if nobody is at work. `drain`: it will be stopped anyway; those at work get the time to end. */
  mode: 'suspend' | 'drain'
  patienceMs: number
  /** A session at rest with state that would be lost is ended with a clear error instead of being left alone. */
  endHeld: boolean
  /** What clients are told that cannot be set aside in time, in place of Postgres' own farewell. Undefined: they hear that one. */
  farewell?: string | undefined
}

export type ParkReport = { parked: number; busy: number; held: number }

/** Never rejects. Without a proxy nobody is connected. */
export type AskToPark = (request: ParkRequest) => Promise<ParkReport>

export const nobodyConnected: ParkReport = { parked: 0, busy: 0, held: 0 }

// One integration at work: its settings, its database, and what both surfaces do with them. Built on the first request, dropped when
// control says that the integration changed, or when others were used more recently.

import type { AuthTarget } from '../model/auth-target.ts'
import type { AuthControlPlane } from './control-plane.ts'
import type { AuthDatabase } from './database.ts'

export type AuthInstance = {
  readonly target: AuthTarget
  readonly database: AuthDatabase
  readonly controlPlane: AuthControlPlane
}

/** A request as the surfaces see it: whoever took it from the socket has settled where it came from. */
export type AuthRequest = {
  /** Path and query below the surface's root, beginning with a slash. */
  path: string
  request: Request
  /** The client's address, from our own edge. */
  clientAddress: string
}

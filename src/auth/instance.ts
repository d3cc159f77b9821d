// One integration at work: its settings, its database, and what both surfaces do with them. Built on the first request, dropped when
// control says that the integration changed, or when others were used more recently.

import type { Logger } from '../lib/logger.ts'
import type { AuthTarget, AuthTargetName } from '../model/auth-target.ts'
import type { AuthControlPlane } from './control-plane.ts'
import type { AuthDatabase } from './database.ts'
import type { AuthLimits } from './limits.ts'
import type { Passwords } from './passwords.ts'

export type AuthInstance = {
  readonly target: AuthTarget
  readonly database: AuthDatabase
  readonly controlPlane: AuthControlPlane
  /** Where the development identity provider answers, without a slash at the end; undefined where there is none. */
  readonly developmentProvider: string | undefined
  /** One of the whole process each. */
  readonly passwords: Passwords
  readonly limits: AuthLimits
  readonly logger: Logger
}

/** Who is asked for by a request that names its integration in its own way. Undefined where there is none. */
export type FindInstance = (name: AuthTargetName) => Promise<AuthInstance | undefined>

/** A request as the surfaces see it: whoever took it from the socket has settled where it came from. */
export type AuthRequest = {
  /** Path and query below the surface's root, beginning with a slash. No segment of it is `.` or `..`. */
  path: string
  /**
   * Its URL lies below the surface's own root, `target.baseUrl` where the target is known before, and has nothing of what the client
   * called us. Its body has been read, its signal is aborted when the client is gone.
   */
  request: Request
  /** The client's address, from our own edge. */
  clientAddress: string
}

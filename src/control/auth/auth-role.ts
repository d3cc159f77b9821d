// The password of `authRole` in a branch's Postgres: derived, never stored. Whoever makes the role sets it, and the auth process is told it.

import type { Cipher } from '../../lib/cipher.ts'

/** Goes with the service key of the branch's timeline: a clone has another one. */
export const authRolePassword = (cipher: Cipher, serviceKeyId: string): string =>
  cipher.derive(`auth role of ${serviceKeyId}`)

// Role passwords: made, turned into what Postgres stores, and sealed for showing them again.

import { randomInt } from 'node:crypto'
import type { Cipher } from '../lib/cipher.ts'
import type { BranchId } from '../model/ids.ts'
import type { Role } from '../model/role.ts'
import { makeVerifier } from '../pgwire/scram-verifier.ts'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** 24 letters and digits (143 bits) behind Neon's prefix, so that secret scanners know it; safe in a URL as it is. */
export function newRolePassword(): string {
  let text = 'npg_'
  for (let i = 0; i < 24; i++) text += alphabet[randomInt(alphabet.length)]
  return text
}

// The branch and the role are part of the seal: a value copied to another row does not open.
const place = (branchId: BranchId, name: string): string => `role:${branchId}:${name}`

export type RoleSecret = { password: string; verifier: string; encryptedPassword: Uint8Array | undefined }

export async function newRoleSecret(
  cipher: Cipher,
  branchId: BranchId,
  name: string,
  store: boolean,
): Promise<RoleSecret> {
  const password = newRolePassword()
  return {
    password,
    verifier: await makeVerifier(password),
    encryptedPassword: store ? cipher.seal(password, place(branchId, name)) : undefined,
  }
}

export function revealRolePassword(
  cipher: Cipher,
  role: Pick<Role, 'branchId' | 'name' | 'encryptedPassword'>,
): string | undefined {
  return role.encryptedPassword && cipher.open(role.encryptedPassword, place(role.branchId, role.name))
}

/** Of a role that is no row any more, sealed for the branch it was of. */
export function resealSecret(
  cipher: Cipher,
  role: { name: string; encryptedPassword: Uint8Array | undefined },
  from: BranchId,
  to: BranchId,
): Uint8Array | undefined {
  if (!role.encryptedPassword) return undefined
  return cipher.seal(cipher.open(role.encryptedPassword, place(from, role.name)), place(to, role.name))
}

export function resealRolePassword(cipher: Cipher, role: Role, to: BranchId): Uint8Array | undefined {
  const password = revealRolePassword(cipher, role)
  return password === undefined ? undefined : cipher.seal(password, place(to, role.name))
}

// The two keys behind a SCRAM password (RFC 5802 §3). Whoever holds them can log in as the role and does not know the password.

import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { saslPrep } from './saslprep.ts'
import type { ScramVerifier } from './scram-verifier.ts'

export type ScramKeys = { clientKey: Buffer; serverKey: Buffer }

const derive = promisify(pbkdf2)

export function hmacSha256(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

export function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** About 1.6 ms of a core at Postgres' 4096 iterations, in the thread pool. */
export async function deriveKeys(password: string, salt: Buffer, iterations: number): Promise<ScramKeys> {
  const salted = await derive(saslPrep(password), salt, iterations, 32, 'sha256')
  return { clientKey: hmacSha256(salted, 'Client Key'), serverKey: hmacSha256(salted, 'Server Key') }
}

/** Whether the keys are those behind the verifier. */
export function opens({ clientKey, serverKey }: ScramKeys, verifier: ScramVerifier): boolean {
  const stored = sha256(clientKey)
  return (
    stored.length === verifier.storedKey.length &&
    timingSafeEqual(stored, verifier.storedKey) &&
    serverKey.length === verifier.serverKey.length &&
    timingSafeEqual(serverKey, verifier.serverKey)
  )
}

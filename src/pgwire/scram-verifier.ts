// The form in which Postgres stores a SCRAM password (`pg_authid.rolpassword`, RFC 5803 in PostgreSQL's spelling):
// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`. Whoever holds one can check a password and cannot use it to log in.

import { randomBytes } from 'node:crypto'
import { AppError } from '../model/errors.ts'
import { deriveKeys, sha256 } from './scram-keys.ts'

export type ScramVerifier = { iterations: number; salt: Buffer; storedKey: Buffer; serverKey: Buffer }

/** What Postgres itself uses for passwords that people choose. */
export const defaultIterations = 4096
/** For passwords of 256 random bits: nothing to guess, so stretching them would only slow every connect. */
export const randomSecretIterations = 1

const saltBytes = 16

export async function makeVerifier(
  password: string,
  options: { iterations?: number; salt?: Buffer } = {},
): Promise<string> {
  const iterations = options.iterations ?? defaultIterations
  const salt = options.salt ?? randomBytes(saltBytes)
  const { clientKey, serverKey } = await deriveKeys(password, salt, iterations)
  return formatVerifier({ iterations, salt, storedKey: sha256(clientKey), serverKey })
}

export function formatVerifier({ iterations, salt, storedKey, serverKey }: ScramVerifier): string {
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey.toString('base64')}:${serverKey.toString('base64')}`
}

const pattern = /^SCRAM-SHA-256\$([1-9]\d{0,9}):([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/

/** Undefined where the text is not a verifier: an md5 hash, a plain password, a broken one. */
export function readVerifier(text: string): ScramVerifier | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  const [, iterations, salt = '', storedKey = '', serverKey = ''] = match
  return {
    iterations: Number(iterations),
    salt: Buffer.from(salt, 'base64'),
    storedKey: Buffer.from(storedKey, 'base64'),
    serverKey: Buffer.from(serverKey, 'base64'),
  }
}

/** Throws `bad_request` without repeating the text, which may be a password. */
export function parseVerifier(text: string): ScramVerifier {
  const verifier = readVerifier(text)
  if (!verifier) throw new AppError('bad_request', 'not a SCRAM-SHA-256 verifier')
  return verifier
}

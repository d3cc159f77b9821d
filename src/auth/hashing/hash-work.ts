// What one password costs, done where it may block: in a thread of its own.

import { randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'

/** `hash` answers with what is to be stored, `verify` with whether it fits. */
export type HashWork = { kind: 'hash'; password: string } | { kind: 'verify'; stored: string; password: string }

/** As Better Auth stores them (`saltHex:keyHex`); the salt goes in as text. What is stored says nothing of the cost: it must stay what it is. */
const cost = { N: 16_384, r: 16, p: 1, maxmem: 64 * 1024 * 1024 }
const keyBytes = 64
const saltBytes = 16

export async function doHashWork(work: HashWork): Promise<string | boolean> {
  if (work.kind === 'hash') {
    const salt = randomBytes(saltBytes).toString('hex')
    return `${salt}:${keyOf(work.password, salt).toString('hex')}`
  }
  if (work.stored.startsWith('$2')) {
    const { compareSync } = await import('bcryptjs')
    return compareSync(work.password, work.stored)
  }
  const [salt = '', key = ''] = work.stored.split(':')
  const stored = Buffer.from(key, 'hex')
  const found = keyOf(work.password, salt)
  return stored.length === found.length && timingSafeEqual(stored, found)
}

const keyOf = (password: string, salt: string): Buffer => scryptSync(password.normalize('NFKC'), salt, keyBytes, cost)

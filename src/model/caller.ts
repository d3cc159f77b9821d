import type { UserId } from './ids.ts'

/** The authenticated subject of a request. */
export type Caller = { userId: UserId; keyId: number }

export type User = { id: UserId; email: string; name: string; createdAt: Date }

export type ApiKey = {
  id: number
  userId: UserId
  name: string
  createdAt: Date
  lastUsedAt: Date | undefined
  lastUsedFrom: string
  revokedAt: Date | undefined
}

import type { ProjectId } from './ids.ts'

/** A project on offer: whoever knows the id may take it into an organization of his own, once. */
export type TransferRequest = {
  /** Shown to whoever made the offer, and never again. */
  id: string
  projectId: ProjectId
  createdAt: Date
  expiresAt: Date
}

export const defaultTransferRequestSeconds = 86_400
export const longestTransferRequestSeconds = 7_776_000
/** Open ones of one project. */
export const mostTransferRequests = 100

/** What every service beside control is told by its parent. */
export type ServiceSettings = {
  domains: string[]
  socket: string
  /** Where control answers it. */
  controlSocket: string
  logLevel: string
  /** Whom to become, and who may connect; undefined when pgrove is not root. */
  owner: { uid: number; gid: number; edgeUid: number } | undefined
}

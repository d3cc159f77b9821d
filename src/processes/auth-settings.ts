/** All the auth process is told by its parent; everything else it asks control. */
export type AuthProcessSettings = {
  domains: string[]
  socket: string
  controlSocket: string
  /** Whether the development identity provider is to answer. */
  hasDevelopmentProvider: boolean
  /** Whether addresses may ask as often as they like. */
  countsAddresses: boolean
  logLevel: string
  /** Whom to become, and who may connect; undefined when pgrove is not root. */
  owner: { uid: number; gid: number; edgeUid: number } | undefined
}

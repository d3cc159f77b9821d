/** A tenant's database as a service beside control enters it. */
export type WokenDatabase = {
  /** Folder of the Unix socket; the socket's name in it is `.s.PGSQL.5432`. */
  socketDir: string
  /** Changes whenever another process answers. */
  generation: string
  /** Of the service's own role in there: it goes with the data, which a restore replaces. */
  password: string
}

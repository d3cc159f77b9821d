import type { ListenAddress } from '../proxy/listen.ts'

/** All the edge is told; it reads no file and no variable of its own. */
export type EdgeSettings = {
  domains: string[]
  pg: ListenAddress
  http: ListenAddress
  https: ListenAddress | undefined
  tls: { cert: string; key: string }
  controlSocket: string
  apiSocket: string
  logLevel: string
  /** Whom to become after the ports are open; undefined when pgrove is not root. */
  owner: { uid: number; gid: number } | undefined
}

import type { ServiceName } from '../model/service-routes.ts'
import type { ListenAddress } from '../proxy/listen.ts'

/** All the edge is told; it reads no file and no variable of its own. */
export type EdgeSettings = {
  domains: string[]
  pg: ListenAddress
  http: ListenAddress
  https: ListenAddress | undefined
  tls: { cert: string; key: string }
  /** 32 bytes in base64: what strangers are told of roles that do not exist is made of it, and is the same each time. */
  mockSecret: string
  controlSocket: string
  apiSocket: string
  serviceSockets: Readonly<Record<ServiceName, string>>
  trustedProxies: readonly string[]
  logLevel: string
  /** Whom to become after the ports are open; undefined when pgrove is not root. */
  owner: { uid: number; gid: number } | undefined
}

import type { ConnectionDetails as ConnectionDetailsWire } from '@neondatabase/api-client'
import type { ConnectionDetails } from '../control/params.ts'
import type { Wire } from './contract/wire.ts'

export function connectionView(connection: ConnectionDetails): Wire<ConnectionDetailsWire> {
  return {
    connection_uri: connection.uri,
    connection_parameters: {
      database: connection.database,
      password: connection.password,
      role: connection.role,
      host: connection.host,
      pooler_host: connection.poolerHost,
    },
  }
}

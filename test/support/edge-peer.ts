// A test in the place of the edge: asks control over its RPC what the edge asks, and answers what control asks the edge.

import type { TestContext } from 'node:test'
import { controlSocket, homeAt } from '../../src/home.ts'
import { connectRpc, type RpcClient } from '../../src/lib/rpc.ts'
import type { ParkReport, ParkRequest, RoleAccess, TokenAccess } from '../../src/proxy/control-plane.ts'
import type { TestServer } from './server.ts'

export type EdgePeer = {
  lookup(endpointId: string, role: string): Promise<RoleAccess | undefined>
  authorize(endpointId: string, role: string, token: string): Promise<TokenAccess>
  call: RpcClient['call']
  /** Endpoints that were said to have changed, in order. */
  changed: string[]
  parks: ParkRequest[]
  /** What is answered to the next ones. */
  report: ParkReport
}

export async function connectAsEdge(t: TestContext, server: TestServer): Promise<EdgePeer> {
  const rpc = connectRpc(controlSocket(homeAt(server.home)), {
    onNotify: (event, params) => {
      if (event === 'endpoint_changed') peer.changed.push((params as { endpointId: string }).endpointId)
      if (event !== 'park') return undefined
      peer.parks.push(params as ParkRequest)
      return peer.report
    },
  })
  t.after(() => rpc.close())
  const peer: EdgePeer = {
    lookup: async (endpointId, role) =>
      ((await rpc.call('lookupRole', { endpointId, role })) as RoleAccess | null) ?? undefined,
    authorize: async (endpointId, role, token) =>
      (await rpc.call('authorizeToken', { endpointId, role, token })) as TokenAccess,
    call: (method, params) => rpc.call(method, params),
    changed: [],
    parks: [],
    report: { parked: 0, busy: 0, held: 0 },
  }
  await rpc.whenConnected(10_000)
  return peer
}

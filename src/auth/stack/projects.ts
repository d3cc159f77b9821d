// What an integration says of itself.

import { publicKeySet } from '../tokens.ts'
import type { AuthTarget } from '../../model/auth-target.ts'
import { reply, type Call, type Reply, type Route } from './call.ts'
import { jsonReply } from './replies.ts'
import { projectView } from './views.ts'

export const projectRoutes: Route[] = [
  { method: 'GET', path: '/projects/current', access: 'client', kind: 'read', handle: current },
]

async function current(call: Call): Promise<Reply> {
  return reply(projectView(call.instance.target))
}

/** From what control has told us alone: whoever verifies tokens wakes no database. */
export function jwksReply(target: AuthTarget): Response {
  return jsonReply(200, publicKeySet(target), { 'cache-control': 'public, max-age=3600' })
}

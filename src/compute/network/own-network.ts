// Computes in networks of their own: what a tenant makes Postgres connect to (dblink, postgres_fdw, subscriptions) is not there.
//
// A compute whose spec says `outbound` gets the machine's network instead, and with it the machine's loopback.

import type { TimelineId } from '../../model/ids.ts'
import type { Confinement } from '../confinement.ts'
import type { Namespace } from './namespace.ts'

/** `take`: of a namespace that is this compute's alone. */
export function ownNetwork(take: () => Promise<Namespace>): Confinement {
  const entering = new Map<TimelineId, Namespace>()
  const letGo = async (id: TimelineId): Promise<void> => {
    const namespace = entering.get(id)
    entering.delete(id)
    await namespace?.close()
  }
  return {
    async launch({ timelineId, outbound }, wanted) {
      await letGo(timelineId)
      if (outbound) return wanted
      const { program, args, uid, gid } = wanted
      const namespace = await take()
      entering.set(timelineId, namespace)
      // Root goes in and becomes the user there; with the group, supplementary ones are dropped.
      const user = [
        ...(gid === undefined ? [] : [`--setgid=${gid}`]),
        ...(uid === undefined ? [] : [`--setuid=${uid}`]),
      ]
      return { program: 'nsenter', args: [namespace.argument, ...user, '--', program, ...args] }
    },
    async confine({ timelineId }, pid) {
      await entering.get(timelineId)?.entered(pid)
      await letGo(timelineId)
    },
    release: ({ timelineId }) => letGo(timelineId),
  }
}

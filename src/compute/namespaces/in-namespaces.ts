// Computes in namespaces of their own: what a tenant makes Postgres connect to (dblink, postgres_fdw, subscriptions) is not there, and
// what it can write cannot be run.
//
// A compute whose spec says `outbound` gets the machine's network instead, and with it the machine's loopback.

import type { TimelineId } from '../../model/ids.ts'
import type { Confinement } from '../confinement.ts'
import type { Namespace } from './namespace.ts'

export type Offered = {
  /** Of a network that is the taker's alone, and that he closes; undefined where there are none. */
  takeNetwork: (() => Promise<Namespace>) | undefined
  /** The same for all, and stays open. */
  files: Namespace | undefined
}

export function inNamespaces({ takeNetwork, files }: Offered): Confinement {
  const entering = new Map<TimelineId, Namespace>()
  const letGo = async (id: TimelineId): Promise<void> => {
    const network = entering.get(id)
    entering.delete(id)
    await network?.close()
  }
  return {
    async launch({ timelineId, outbound }, wanted) {
      await letGo(timelineId)
      const network = outbound ? undefined : await takeNetwork?.()
      if (network) entering.set(timelineId, network)
      const places = [network, files].flatMap((each) => (each ? [each.argument] : []))
      if (places.length === 0) return wanted
      const { program, args, uid, gid } = wanted
      // Root goes in and becomes the user there; with the group, supplementary ones are dropped.
      const user = [
        ...(gid === undefined ? [] : [`--setgid=${gid}`]),
        ...(uid === undefined ? [] : [`--setuid=${uid}`]),
      ]
      return { program: 'nsenter', args: [...places, ...user, '--', program, ...args] }
    },
    async confine({ timelineId }, pid) {
      await entering.get(timelineId)?.entered(pid)
      await letGo(timelineId)
    },
    release: ({ timelineId }) => letGo(timelineId),
  }
}

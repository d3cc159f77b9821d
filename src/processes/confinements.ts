// What this machine offers to keep computes to themselves, put together.

import { allOf, type Confinement } from '../compute/confinement.ts'
import { makeFileView } from '../compute/namespaces/file-view.ts'
import { inNamespaces } from '../compute/namespaces/in-namespaces.ts'
import type { Namespace } from '../compute/namespaces/namespace.ts'
import { findNetworkAbility, type NetworkAbility } from '../compute/namespaces/own-network.ts'
import { ReadyNetworks } from '../compute/namespaces/ready-networks.ts'
import { dieFirst } from '../compute/out-of-memory.ts'
import type { Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'

export type Confinements = { confinement: Confinement; close(): Promise<void> }

/** `writable`: folders that computes write to and that are not mounted so that nothing in them can be executed. */
export async function openConfinements(writable: readonly string[], logger: Logger): Promise<Confinements> {
  const ability = await findNetworkAbility()
  const networks = readyNetworks(ability, logger)
  const files = 'tools' in ability ? await fileView(writable, logger) : undefined
  return {
    // The network first: what it holds for a start is let go of before anybody else has anything to wait for.
    confinement: allOf([inNamespaces({ takeNetwork: networks && (() => networks.take()), files }), dieFirst]),
    async close() {
      await networks?.close()
      await files?.close()
    },
  }
}

function readyNetworks(ability: NetworkAbility, logger: Logger): ReadyNetworks | undefined {
  if ('obstacle' in ability) {
    logger.warn({ needs: ability.obstacle }, 'computes get no network of their own: they share the one of this machine')
    return undefined
  }
  const networks = new ReadyNetworks(ability.tools, logger)
  networks.fill().catch((error: unknown) => {
    logger.warn({ cause: errorChain(error) }, 'no network could be made ahead for computes')
  })
  return networks
}

async function fileView(writable: readonly string[], logger: Logger): Promise<Namespace | undefined> {
  if (writable.length === 0) return undefined
  try {
    return await makeFileView(writable)
  } catch (error) {
    logger.warn({ cause: errorChain(error) }, 'what computes write could be executed: root may not mount here')
    return undefined
  }
}

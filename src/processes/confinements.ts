// What this machine offers to keep computes to themselves, put together.

import { allOf, type Confinement } from '../compute/confinement.ts'
import { findNetworkAbility } from '../compute/network/namespace.ts'
import { ownNetwork } from '../compute/network/own-network.ts'
import { ReadyNamespaces } from '../compute/network/ready-namespaces.ts'
import { dieFirst } from '../compute/out-of-memory.ts'
import type { Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'

export type Confinements = { confinement: Confinement; close(): Promise<void> }

export async function openConfinements(logger: Logger): Promise<Confinements> {
  const ability = await findNetworkAbility()
  if ('obstacle' in ability) {
    logger.warn({ needs: ability.obstacle }, 'computes get no network of their own: they share the one of this machine')
    return { confinement: dieFirst, close: async () => {} }
  }
  const namespaces = new ReadyNamespaces(ability.tools, logger)
  namespaces.fill().catch((error: unknown) => {
    logger.warn({ cause: errorChain(error) }, 'no network namespace could be made ahead')
  })
  return {
    // The network first: what it holds for a start is let go of before anybody else has anything to wait for.
    confinement: allOf([ownNetwork(() => namespaces.take()), dieFirst]),
    close: () => namespaces.close(),
  }
}

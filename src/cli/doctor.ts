// `pgrove doctor`: what this machine offers, and what that means. Changes nothing.

import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import type { Config } from '../config.ts'
import { homeAt, lockHolder } from '../home.ts'
import { describeCgroups } from '../compute/cgroups/open.ts'
import { isAllowedExtension } from '../compute/extensions.ts'
import { chooseInstallations } from '../compute/installation.ts'
import { describeNetwork, findNetworkAbility } from '../compute/namespaces/own-network.ts'
import { errorChain, isAppError } from '../model/errors.ts'
import { findDomain } from '../processes/domain.ts'
import { listInstallations } from '../processes/postgres-trees.ts'
import { describeStorage } from '../storage/describe.ts'
import type { Printer } from './printer.ts'

export async function doctor(config: Config, printer: Printer): Promise<void> {
  const home = homeAt(config.home)
  const holder = await lockHolder(home)
  printer.line(`home       ${home.root}${holder ? ` (pgrove runs on it, process ${holder.pid})` : ''}`)
  printer.line(
    `user       ${config.isRoot ? 'root: Postgres runs under unprivileged users, one a project' : 'not root: Postgres runs as this user; projects are not separated by user'}`,
  )
  const installations = await listInstallations(home, config)
  const chosen = chooseInstallations(installations)
  if (installations.length === 0)
    printer.line('postgres   none found; run `npm install` again, or install Postgres on the machine')
  for (const each of installations) {
    const offered = each.extensions.filter((name) => isAllowedExtension(name, each.major))
    const used = chosen.get(each.major) === each
    printer.line(
      `postgres   ${each.version} from ${each.source} at ${each.binDir}${used ? ' (used)' : ''}: offers ${offered.length} extensions`,
    )
    if (used) printer.line(`           ${offered.join(', ')}`)
  }
  printer.line(`storage    ${await storageSentence(config, home.root)}`)
  printer.line(
    `cgroups    ${config.cgroups === 'off' ? 'PGROVE_CGROUPS is off: sizes are reported and not enforced' : await describeCgroups()}`,
  )
  printer.line(`network    ${describeNetwork(await findNetworkAbility())}`)
  printer.line(`http port  ${await portSentence(config.http, 'PGROVE_HTTP_PORT', holder !== undefined)}`)
  printer.line(`pg port    ${await portSentence(config.pg, 'PGROVE_PG_PORT', holder !== undefined)}`)
  const domain = await findDomain(config.domain)
  printer.line(
    `domain     *.${domain.domain} ${domain.resolves ? 'resolves' : 'does not resolve here: connection strings name the endpoint in `options`; set PGROVE_DOMAIN to a wildcard domain to use host names'}`,
  )
}

async function storageSentence(config: Config, home: string): Promise<string> {
  let folder = home
  while (!(await exists(folder))) folder = dirname(folder)
  try {
    return await describeStorage(folder, config.storage)
  } catch (error) {
    return isAppError(error) ? error.message : errorChain(error)
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

async function portSentence(
  { host, port }: { host: string; port: number },
  variable: string,
  running: boolean,
): Promise<string> {
  if (port === 0) return 'any free one'
  const free = await new Promise<boolean>((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port }, () => server.close(() => resolve(true)))
  })
  if (free) return `${host}:${port} is free`
  return running
    ? `${host}:${port} is in use, by pgrove most likely`
    : `${host}:${port} is taken; the next free one is used, or set ${variable}`
}

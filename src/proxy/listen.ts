// Opens a port, and says in the operator's words why it cannot.

import type { Server } from 'node:net'
import { AppError } from '../model/errors.ts'

export type ListenAddress = {
  host: string
  /** 0 takes any free one. */
  port: number
  /** Nobody asked for this very port: where it is taken, the next free one will do. */
  fallbackPort: boolean
  /** Names of the settings, for messages. */
  portVariable: string
  hostVariable: string
}

const mostTries = 100

/** Returns the port. Throws `port_taken`, and `config_invalid` for an address that cannot be had at all. */
export async function listenOn(server: Server, address: ListenAddress): Promise<number> {
  for (let tries = 0; ; tries++) {
    try {
      return await tryListen(server, address.host, address.port + tries)
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code
      if (code === 'EADDRINUSE' && address.fallbackPort && tries < mostTries && address.port + tries < 65_535) continue
      throw explain(code, address, cause)
    }
  }
}

function tryListen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: 4096 }, () => {
      server.off('error', reject)
      const bound = server.address()
      resolve(typeof bound === 'object' && bound ? bound.port : port)
    })
  })
}

function explain(code: string | undefined, address: ListenAddress, cause: unknown): AppError {
  const { host, port, portVariable, hostVariable } = address
  switch (code ?? '') {
    case 'EADDRINUSE':
      return new AppError(
        'port_taken',
        `port ${port} on ${host} is taken: stop what listens there or set ${portVariable} to another port`,
        { cause },
      )
    case 'EACCES':
      return new AppError(
        'config_invalid',
        `port ${port} may not be opened without privileges: set ${portVariable} to one from 1024 on`,
        { cause },
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new AppError('config_invalid', `${host} is no address of this machine: set ${hostVariable} to one`, {
        cause,
      })
    default:
      return new AppError(
        'config_invalid',
        `port ${port} on ${host} could not be opened: check ${portVariable} and ${hostVariable}`,
        { cause },
      )
  }
}

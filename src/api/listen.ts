// Where the API can be reached: a Unix socket, for the edge, or a port.

import { chmod, chown, lstat, rename, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

export type Listen = { socketPath: string; mode: number; uid?: number | undefined } | { host: string; port: number }

export type ListeningServer = {
  /** The socket's path, or `http://host:port`. */
  address: string
  /** Answers what has been asked, for ten seconds at most, and takes no more. */
  close(): Promise<void>
}

const closingTimeoutMs = 10_000

export async function listen(server: FastifyInstance, where: Listen): Promise<ListeningServer> {
  return 'host' in where ? await listenOnPort(server, where) : await listenOnSocket(server, where)
}

async function listenOnPort(server: FastifyInstance, where: { host: string; port: number }): Promise<ListeningServer> {
  await server.listen({ host: where.host, port: where.port })
  const { address, port, family } = server.server.address() as AddressInfo
  return { address: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`, close: () => close(server) }
}

async function listenOnSocket(
  server: FastifyInstance,
  { socketPath, mode, uid }: { socketPath: string; mode: number; uid?: number | undefined },
): Promise<ListeningServer> {
  // Bound under another name and moved into place once its mode is right: nobody can connect in between, and what a killed
  // predecessor left behind is replaced.
  const draft = `${socketPath}.${process.pid}.draft`
  await rm(draft, { force: true })
  await server.listen({ path: draft })
  await chmod(draft, mode)
  if (uid !== undefined) await chown(draft, uid, -1)
  const { ino } = await lstat(draft)
  await rename(draft, socketPath)
  return {
    address: socketPath,
    async close() {
      await close(server)
      const there = await lstat(socketPath).catch(() => undefined)
      // By now another process may serve here under the same name.
      if (there?.ino === ino) await rm(socketPath, { force: true })
    },
  }
}

async function close(server: FastifyInstance): Promise<void> {
  const impatience = setTimeout(() => server.server.closeAllConnections(), closingTimeoutMs)
  try {
    await server.close()
  } finally {
    clearTimeout(impatience)
  }
}

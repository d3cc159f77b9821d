// The edge's HTTP front. It owns the port and passes on to control whatever it does not answer itself, so that control may
// restart without the port ever being away.

import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import type { Logger } from '../lib/logger.ts'
import { forward } from './http-forward.ts'
import type { ServiceFront } from './service-front.ts'
import { listenOn, type ListenAddress } from './listen.ts'

/** Answers what is answered here; everything else goes on to control. */
export type HttpHandler = {
  /** False: the request is somebody else's. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean
  /** Whether another protocol is begun; otherwise the request is answered as any other. */
  isUpgrade(request: IncomingMessage): boolean
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
}

export type HttpFrontOptions = {
  http: ListenAddress
  https: ListenAddress | undefined
  tls: SecureContextOptions
  controlHttpSocket: string
  serverless?: HttpHandler
  services?: ServiceFront | undefined
  trustedProxies?: readonly string[] | undefined
  logger: Logger
}

export type HttpFront = {
  httpPort: number
  httpsPort: number | undefined
  setCertificate(tls: SecureContextOptions): void
  /** Lets answers under way finish within the time. */
  close(drainMs: number): Promise<void>
}

const bounds: ServerOptions = {
  maxHeaderSize: 32_768,
  headersTimeout: 15_000,
  /** For a whole request with its body: the longest upload through the API is a few megabytes. */
  requestTimeout: 120_000,
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 5_000,
  insecureHTTPParser: false,
}
const mostConnections = 20_000

export async function startHttpFront(options: HttpFrontOptions): Promise<HttpFront> {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 32, scheduling: 'lifo' })
  const { serverless, services, logger, trustedProxies = [] } = options
  const target = { socketPath: options.controlHttpSocket, agent, whose: 'the control plane', trustedProxies, logger }
  const serve: RequestListener = (incoming, outgoing) => {
    if (serverless?.handleRequest(incoming, outgoing) || services?.handleRequest(incoming, outgoing)) return
    forward(incoming, outgoing, target)
  }
  const settings: ServerOptions = {
    ...bounds,
    // A client that offers HTTP/2 in passing is answered in HTTP/1.1.
    shouldUpgradeCallback: (request) => serverless?.isUpgrade(request) ?? false,
  }

  const http = createServer(settings, serve)
  const https = options.https && createTlsServer({ ...settings, ...options.tls, minVersion: 'TLSv1.2' }, serve)
  const servers: (Server | TlsServer)[] = https ? [http, https] : [http]
  for (const server of servers) {
    server.maxConnections = mostConnections
    server.on('tlsClientError', () => {})
    server.on('upgrade', (request, socket, head) => {
      if (!serverless?.handleUpgrade(request, socket, head)) socket.destroy()
    })
  }
  try {
    const httpPort = await listenOn(http, options.http)
    const httpsPort = https && options.https ? await listenOn(https, options.https) : undefined
    return {
      httpPort,
      httpsPort,
      setCertificate: (tls) => https?.setSecureContext({ ...tls, minVersion: 'TLSv1.2' }),
      close: (drainMs) => closeAll(servers, agent, drainMs),
    }
  } catch (error) {
    await closeAll(servers, agent, 0)
    throw error
  }
}

async function closeAll(servers: readonly (Server | TlsServer)[], agent: Agent, drainMs: number): Promise<void> {
  const closed = servers
    .filter((server) => server.listening)
    .map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
  const timer = setTimeout(() => {
    for (const server of servers) server.closeAllConnections()
  }, drainMs)
  await Promise.all(closed)
  clearTimeout(timer)
  agent.destroy()
}

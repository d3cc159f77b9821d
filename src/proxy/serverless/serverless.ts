// Neon's serverless driver: SQL by `POST /sql` and Postgres' protocol in a WebSocket.
//
// Both come to the HTTP ports. A password travels in clear inside them, so without TLS they are for this machine only.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { WebSocketServer } from 'ws'
import type { Logger } from '../../lib/logger.ts'
import type { ActivityLedger } from '../activity.ts'
import type { Authenticator } from '../authenticate.ts'
import type { ControlPlane } from '../control-plane.ts'
import { isLoopback } from '../peer.ts'
import type { Waker } from '../wake.ts'
import { endpointHost, hostName } from './connection-string.ts'
import { FrameBudget } from './frame-budget.ts'
import type { ServerConnection } from './server-query.ts'
import { SqlEndpoint } from './sql-endpoint.ts'
import { SqlPool } from './sql-pool.ts'
import { longestFrame, WebSocketStream } from './websocket.ts'

export type ServerlessDependencies = {
  /** Base domains of endpoint hosts, lower case. */
  domains: readonly string[]
  controlPlane: Pick<ControlPlane, 'authorizeToken'>
  authenticator: Pick<Authenticator, 'password' | 'admit'>
  waker: Waker
  ledger: Pick<ActivityLedger, 'meter'>
  /** Runs a Postgres session in the stream, from its startup packet. */
  serveWebSocket(stream: Duplex, info: WebSocketInfo): void
  logger: Logger
}

export type WebSocketInfo = {
  /** As TLS would have it; undefined where only the startup packet can tell the endpoint. */
  serverName: string | undefined
  /** Of the client. */
  address: string | undefined
  secure: boolean
}

export type Serverless = {
  /** False: the request is somebody else's. */
  handleRequest(request: IncomingMessage, response: ServerResponse): boolean
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
  /** Whether the request asks for what `handleUpgrade` gives. */
  isUpgrade(request: IncomingMessage): boolean
  /** Closes idle server connections of a compute, and says how many requests are at work there. */
  parkIdle(computeName: string): number
  /** Requests at work there are answered with this error. */
  end(computeName: string, error: Error): void
  /** The endpoint changed: what is open at its computes serves no further request. */
  forget(endpointId: string): void
  /** Closes what is idle; returns when requests under way have ended and WebSockets are closed, which they are after the time. */
  close(drainMs?: number): Promise<void>
}

/** For requests that were cut off to be given up by Postgres too. */
const closingMs = 3_000

const insecure = 'connection is insecure: use https (wss for WebSockets)'

export function createServerless(dependencies: ServerlessDependencies): Serverless {
  const { domains } = dependencies
  const pool = new SqlPool<ServerConnection>()
  const sql = new SqlEndpoint({ ...dependencies, pool })
  const frames = new FrameBudget()
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: longestFrame })

  const isUpgrade = (request: IncomingMessage): boolean =>
    request.headers.upgrade?.toLowerCase() === 'websocket' &&
    (pathOf(request) === '/v2' || ownName(hostName(request.headers.host ?? ''), domains) !== undefined)

  return {
    isUpgrade,
    handleRequest(request, response) {
      if (pathOf(request) !== '/sql') return false
      if (isOpenToOthers(request)) answerInsecure(request, response)
      else sql.handle(request, response)
      return true
    },
    handleUpgrade(request, socket, head) {
      if (!isUpgrade(request)) return false
      socket.on('error', () => socket.destroy())
      if (isOpenToOthers(request)) {
        socket.end(rawAnswer('403 Forbidden', JSON.stringify({ message: insecure })))
        return true
      }
      const info: WebSocketInfo = {
        serverName: serverNameOf(request, domains),
        address: request.socket.remoteAddress,
        secure: request.socket instanceof TLSSocket,
      }
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        frames.watch(webSocket, socket)
        dependencies.serveWebSocket(new WebSocketStream(webSocket), info)
      })
      return true
    },
    parkIdle: (computeName) => pool.park(computeName),
    end: (computeName, error) => sql.end(computeName, error),
    // Computes of its past are named after it.
    forget: (endpointId) => pool.forget((name) => name === endpointId || name.startsWith(`${endpointId}@`)),
    async close(drainMs = 0) {
      const closed = new Promise<void>((resolve) => webSockets.close(() => resolve()))
      const timer = setTimeout(() => {
        for (const webSocket of webSockets.clients) webSocket.terminate()
      }, drainMs)
      await Promise.all([closed, pool.close(drainMs + closingMs)])
      clearTimeout(timer)
    },
  }
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?')[0] ?? ''
}

function isOpenToOthers({ socket }: IncomingMessage): boolean {
  return !(socket instanceof TLSSocket) && !isLoopback(socket.remoteAddress)
}

function answerInsecure(request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  response.writeHead(403, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify({ message: insecure }))
}

function rawAnswer(status: string, body: string): string {
  const head = [
    `HTTP/1.1 ${status}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

/** `?address=host:port`, as drivers add it to a `wsProxy` that serves many hosts; else the host that was asked for. */
function serverNameOf(request: IncomingMessage, domains: readonly string[]): string | undefined {
  const query = new URLSearchParams(request.url?.split('?')[1] ?? '')
  const address = hostName(query.get('address') ?? '')
  return (
    ownName(address, domains) ??
    ownName(hostName(request.headers.host ?? ''), domains) ??
    endpointHost(address, domains)
  )
}

const reservedLabels = ['api', 'apiauth']

/** A host of an endpoint under one of our domains. */
function ownName(host: string, domains: readonly string[]): string | undefined {
  const dot = host.indexOf('.')
  if (dot < 1 || !domains.includes(host.slice(dot + 1)) || reservedLabels.includes(host.slice(0, dot))) return undefined
  return host
}

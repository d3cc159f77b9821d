// Passes one HTTP request on to control, or to a service beside it, and its answer back, both as streams.
//
// Framing is decided anew on each side: hop-by-hop headers go no further (RFC 9110 §7.6.1), and a body that came in chunks goes
// on in chunks whatever the method, else it would be read over there as the next request. Who the client is, the other side believes
// from us alone: what the client says about itself is dropped, unless it is a proxy that the operator trusts.

import { request as httpRequest, type Agent, type IncomingMessage, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Logger } from '../lib/logger.ts'
import { errorChain } from '../model/errors.ts'
import { isAllowed } from '../lib/allow-list.ts'

export type ForwardTarget = {
  socketPath: string
  agent: Agent
  /** In messages. */
  whose: string
  /** As in `allow-list.ts`. */
  trustedProxies: readonly string[]
  logger: Logger
  /** Nobody answers at the socket. */
  neverConnected?: () => void
}

const hopByHop = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const oursToSay = new Set([
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
])
/** An answer comes, or more of it, within this time, or never. */
const idleTimeoutMs = 130_000

/** Nothing was sent before these: nobody was there, and trying again is safe. */
const neverConnected = new Set(['ECONNREFUSED', 'ENOENT', 'EAGAIN'])
const brokenOff = new Set(['ECONNRESET', 'EPIPE'])

export function forward(incoming: IncomingMessage, outgoing: ServerResponse, target: ForwardTarget): void {
  const headers = requestHeaders(incoming, target.trustedProxies)
  const hasBody =
    incoming.headers['transfer-encoding'] !== undefined || Number(incoming.headers['content-length'] ?? 0) > 0
  const attempt = (isRetry: boolean): void => {
    const upstream = httpRequest({
      socketPath: target.socketPath,
      agent: target.agent,
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '/',
      headers,
      timeout: idleTimeoutMs,
      setHost: false,
    })
    const abort = (): void => {
      upstream.destroy()
    }
    outgoing.on('close', abort)
    upstream.on('timeout', () => upstream.destroy(new Error('no answer in time')))
    upstream.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, responseHeaders(response))
      response.on('error', () => outgoing.destroy())
      // An answer that breaks off must look broken to the client too, not short.
      response.on('aborted', () => outgoing.destroy())
      response.pipe(outgoing)
    })
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      outgoing.off('close', abort)
      if (outgoing.destroyed) return
      if (outgoing.headersSent) return void outgoing.destroy()
      // Control closed a kept-alive connection just as we used it. Without a body nothing is lost and we can send it again.
      if (upstream.reusedSocket && !hasBody && !isRetry && isRepeatable(incoming)) return attempt(true)
      target.logger.debug({ error: errorChain(error) }, 'request could not be forwarded')
      if (neverConnected.has(error.code ?? '')) {
        target.neverConnected?.()
        return answerAway(incoming, outgoing, target.whose)
      }
      // It died under a request that changes nothing.
      if (brokenOff.has(error.code ?? '') && isRepeatable(incoming)) return answerAway(incoming, outgoing, target.whose)
      answerJson(outgoing, 502, `${target.whose} broke off the request`)
    })
    // Control may answer and hang up in the middle of a body. What is left of it is not kept waiting for a reader.
    upstream.on('close', () => {
      incoming.unpipe(upstream)
      incoming.resume()
    })
    if (hasBody) incoming.pipe(upstream)
    else upstream.end()
  }
  attempt(false)
}

function isRepeatable(incoming: IncomingMessage): boolean {
  return ['GET', 'HEAD', 'OPTIONS'].includes(incoming.method ?? '')
}

/** Nothing has been done: the same request may be made again. */
export function answerAway(incoming: IncomingMessage, outgoing: ServerResponse, whose: string): void {
  incoming.resume()
  outgoing.setHeader('retry-after', '1')
  answerJson(outgoing, 503, `${whose} is restarting; try again in a moment`)
}

function answerJson(outgoing: ServerResponse, status: number, message: string): void {
  outgoing.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  outgoing.end(JSON.stringify({ code: '', message }))
}

function requestHeaders(incoming: IncomingMessage, trustedProxies: readonly string[]): string[] {
  const headers = endToEnd(incoming, (name) => oursToSay.has(name))
  if (incoming.headers['transfer-encoding'] !== undefined) headers.push('Transfer-Encoding', 'chunked')
  const { host } = incoming.headers
  if (host !== undefined) headers.push('X-Forwarded-Host', host)
  const { address, isSecure } = originOf(incoming, trustedProxies)
  headers.push('X-Forwarded-For', address)
  headers.push('X-Forwarded-Proto', isSecure ? 'https' : 'http')
  // Who hangs up is up to us: a server that is asked to does so once it has answered, and the end of our request finds nobody to write to.
  headers.push('Connection', 'keep-alive')
  return headers
}

/**
 * A trusted proxy appends whom it had before it, so the last entry is the one that it has written itself; those before it are whatever that
 * one said.
 */
function originOf(
  { socket, headers }: IncomingMessage,
  trustedProxies: readonly string[],
): { address: string; isSecure: boolean } {
  const peer = { address: socket.remoteAddress ?? '', isSecure: socket instanceof TLSSocket }
  if (trustedProxies.length === 0 || !isAllowed(peer.address, trustedProxies)) return peer
  const address = lastOf(headers['x-forwarded-for'])
  const scheme = lastOf(headers['x-forwarded-proto'])
  return {
    address: isIP(address) === 0 ? peer.address : address,
    isSecure: scheme === 'https' || (scheme !== 'http' && peer.isSecure),
  }
}

function lastOf(header: string | string[] | undefined): string {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '')
  return text.split(',').at(-1)?.trim() ?? ''
}

function responseHeaders(response: IncomingMessage): string[] {
  return endToEnd(response, () => false)
}

/** Names and values in turn, as they came and as often as they came. */
function endToEnd(message: IncomingMessage, isDropped: (name: string) => boolean): string[] {
  const named = new Set((message.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const kept: string[] = []
  for (let at = 0; at < message.rawHeaders.length; at += 2) {
    const [name = '', value = ''] = message.rawHeaders.slice(at, at + 2)
    const lower = name.toLowerCase()
    // `Connection: host` must not take away what decides whom the request is for.
    const isNamed = named.has(lower) && lower !== 'host' && lower !== 'content-length' && lower !== 'authorization'
    if (hopByHop.has(lower) || isNamed || isDropped(lower)) continue
    kept.push(name, value)
  }
  return kept
}

// Addresses that callers give us to connect to: key sets, webhooks, mail servers.
//
// Whoever may name one can make this machine knock there, so most may name the open internet only, over TLS. What is private is for
// those who run the installation and the organizations that are theirs: that is decided when an address is stored (`control/outbound-urls.ts`),
// and the decision is kept with it. A name is looked up for each request and the connection goes to the very addresses that were checked, so that a name
// that leads elsewhere later leads nowhere. No redirect is followed, little is read and not for long.

import { lookup, Resolver } from 'node:dns/promises'
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { addressKind, type AddressKind } from './public-address.ts'
import { AppError } from '../model/errors.ts'

const longestUrl = 2048
/** Names that are somebody's own by their form. */
const localName = /^[^.]+$|\.(localhost|local|internal|lan|home\.arpa)$/

/**
 * For an address that is to be stored, before it is. `field`: its name in the request. Throws `bad_request`. Where a name leads is not
 * looked at: that is decided anew for each request.
 */
export function assertOutboundUrl(
  text: string,
  { privateAllowed, field = 'url' }: { privateAllowed: boolean; field?: string },
): URL {
  const url = text.length <= longestUrl && URL.canParse(text) ? new URL(text) : undefined
  const refusal = url ? refusalOf(url, privateAllowed) : 'it is no URL'
  if (url && refusal === undefined) return url
  const wanted = privateAllowed
    ? 'an https URL without credentials and fragment (http only inside your own network: localhost, a private address, a name without a domain)'
    : 'an https URL of the open internet without credentials and fragment'
  throw new AppError('bad_request', `${field} must be ${wanted}: ${refusal}`)
}

function refusalOf(url: URL, privateAllowed: boolean): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return `its scheme is ${url.protocol.slice(0, 20)}`
  if (url.username !== '' || url.password !== '') return 'it carries credentials'
  if (url.hash !== '') return 'it has a fragment'
  const kind = hostKind(hostOf(url))
  if (kind === 'special') return 'no service can be at this address'
  if (kind === 'private' && !privateAllowed)
    return 'it is private; only an admin of an organization that the operator runs, or its own key, may name it'
  if (url.protocol === 'http:' && kind === 'public') return 'its scheme is http:'
  return undefined
}

/** What an address is, and what a name says of itself: where it leads is another matter. */
export function hostKind(host: string): AddressKind {
  return addressKind(host) ?? (localName.test(host) ? 'private' : 'public')
}

/** As DNS and sockets want it. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
}

export type OutboundRequest = {
  privateAllowed: boolean
  method?: 'GET' | 'POST'
  headers?: Readonly<Record<string, string>>
  body?: string | Buffer
  /** From the first look-up to the last byte. */
  timeoutMs: number
  /** An answer with more is an error. */
  mostBytes: number
  /** Tests lead names elsewhere. */
  resolve?: Resolve
}

export type OutboundAnswer = { status: number; body: string }

type Resolve = (host: string) => Promise<string[]>

/**
 * One request, whatever is answered: a redirect is an answer like any other. Throws `bad_request` where the address is not allowed (any
 * more), `unavailable` where nothing useful came back; what exactly is in the cause, for the log.
 */
export async function requestOutbound(text: string, options: OutboundRequest): Promise<OutboundAnswer> {
  const url = assertOutboundUrl(text, options)
  const signal = AbortSignal.timeout(options.timeoutMs)
  try {
    const target = { host: hostOf(url), publicAllowed: url.protocol === 'https:' }
    const addresses = await within(signal, checkedAddresses({ ...target, ...options }))
    return await send(url, addresses, options, signal)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('unavailable', `${url.host} gave no usable answer`, { cause: error })
  }
}

/** Where a host leads, all of it allowed: to be connected to without asking again. Throws `bad_request` where some of it is not. */
export async function checkedAddresses({
  host,
  privateAllowed,
  publicAllowed,
  resolve,
}: {
  host: string
  privateAllowed: boolean
  publicAllowed: boolean
  resolve?: Resolve | undefined
}): Promise<string[]> {
  const addresses =
    addressKind(host) === undefined ? await (resolve ?? (privateAllowed ? bySystem : byDns))(host) : [host]
  if (addresses.length === 0) throw new Error('the name leads to no address')
  for (const address of addresses) {
    const kind = addressKind(address)
    if (kind === 'public' && publicAllowed) continue
    if (kind === 'private' && privateAllowed) continue
    throw new AppError('bad_request', `${host} leads to an address that may not be used`)
  }
  return addresses
}

/** As everything else on this machine resolves names, `/etc/hosts` and all. */
async function bySystem(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

/** What strangers name is asked of DNS alone: the system's resolver works in threads of which there are few, and a slow name would hold one. */
async function byDns(host: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  const addresses = found.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
  if (addresses.length === 0 && found[0].status === 'rejected') throw found[0].reason
  return addresses
}

async function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function send(
  url: URL,
  addresses: readonly string[],
  { method = 'GET', headers, body, mostBytes }: OutboundRequest,
  signal: AbortSignal,
): Promise<OutboundAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<OutboundAnswer>()
  const options: RequestOptions = {
    // A connection that is kept would have been checked for somebody else.
    agent: false,
    method,
    headers: {
      'user-agent': 'pgrove',
      ...headers,
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    },
    lookup: lookupOnly(addresses),
    signal,
  }
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options)
  request.on('error', reject)
  request.on('response', (response) => {
    void boundedText(response, mostBytes)
      .then((text) => resolve({ status: response.statusCode ?? 0, body: text }), reject)
      .finally(() => request.destroy())
  })
  request.end(body)
  return promise
}

/** Host and server name stay what the URL says; where they lead has been decided. */
export function lookupOnly(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return (_, options, callback) => {
    if (options.all) return callback(null, all)
    callback(null, all[0]?.address ?? '', all[0]?.family ?? 4)
  }
}

async function boundedText(response: IncomingMessage, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength
    if (bytes > mostBytes) throw new Error(`the answer has more than ${mostBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

// Mail servers that callers name: which may be named, how they are spoken to, and what is told of them when they fail.
//
// As with all that is outside: the very addresses that were checked are connected to. A password is said under TLS only, to a server that
// has proved its name; one's own network may do without.

import { connect, type Socket } from 'node:net'
import { domainToASCII } from 'node:url'
import { checkedAddresses, hostKind, lookupOnly } from '../../lib/outbound-requests.ts'
import { oneLine } from '../../lib/mail-text.ts'
import { addressKind } from '../../lib/public-address.ts'
import { within } from '../../lib/within.ts'
import { AppError, isAppError } from '../../model/errors.ts'
import { isMailAddress } from '../../model/mail-address.ts'

export type MailServer = {
  host: string
  port: number
  /** Undefined: nobody has to sign in. */
  login: { username: string; password: string } | undefined
  privateAllowed: boolean
  sender: { name: string; address: string }
}

export type OutgoingMail = { id: string; to: string; subject: string; text: string; html: string }

/** Where the open internet takes mail; anything else there is somebody else's service. */
const publicPorts: ReadonlySet<number> = new Set([25, 465, 587, 2465, 2525, 2587])
const connectTimeoutMs = 10_000
const silenceTimeoutMs = 15_000
const longestReply = 200

/** For one that is to be stored, or tried. Throws `bad_request`. Where a name leads is looked at when it is used. */
export function assertMailServer({ host, port, privateAllowed, sender }: Omit<MailServer, 'login'>): void {
  const name = asciiHost(host)
  if (name === undefined) throw new AppError('bad_request', 'host must be the name or the address of a mail server')
  const kind = hostKind(name)
  if (kind === 'special') throw new AppError('bad_request', 'host: no service can be at this address')
  if (kind === 'private' && !privateAllowed) {
    throw new AppError(
      'bad_request',
      'host is private; only an admin of an organization that the operator runs, or its own key, may name it',
    )
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new AppError('bad_request', 'port must be between 1 and 65535')
  if (kind === 'public' && !publicPorts.has(port))
    throw new AppError('bad_request', `port must be one of ${[...publicPorts].join(', ')}`)
  if (!isMailAddress(sender.address)) throw new AppError('bad_request', 'sender_email must be an e-mail address')
}

/** As DNS has it; undefined for what is no host, or more than one. */
function asciiHost(host: string): string | undefined {
  const plain = host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  if (addressKind(plain) !== undefined) return plain
  // What ends a host in a URL would be cut off, and the rest taken for a name.
  // oxlint-disable-next-line no-control-regex -- these are what is refused
  if (/[\u0000-\u0020\u007f/\\?#@:%[\]]/.test(plain)) return undefined
  const ascii = domainToASCII(plain).toLowerCase()
  return /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(ascii) && ascii.length <= 253
    ? ascii
    : undefined
}

/** `isPrivate`: all of its addresses are. */
export function tlsRules(port: number, isPrivate: boolean): { secure: boolean; requireTLS: boolean; proves: boolean } {
  const secure = port === 465 || port === 2465
  return { secure, requireTLS: !secure && (port === 587 || !isPrivate), proves: !isPrivate }
}

/** Returns when the server has taken it. Throws a `MailFailure`. */
export async function sendMail(
  server: MailServer,
  mail: OutgoingMail,
  {
    timeoutMs,
    signal,
    resolve,
  }: { timeoutMs: number; signal?: AbortSignal; resolve?: (host: string) => Promise<string[]> },
): Promise<void> {
  const sockets = new Set<Socket>()
  let isOver = false
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  aborted.catch(() => {})
  const abort = (): void => reject(new MailFailure('the mail was not sent yet', { isFinal: false }))
  signal?.addEventListener('abort', abort)
  const work = async (): Promise<void> => {
    assertMailServer(server)
    const host = asciiHost(server.host) ?? ''
    const { port, privateAllowed } = server
    const addresses = await checkedAddresses({ host, privateAllowed, publicAllowed: true, resolve })
    if (isOver) return
    await hand(server, host, addresses, await connected(host, port, addresses, sockets), mail)
  }
  try {
    const sent = work()
    sent.catch(() => {})
    await within(
      Promise.race([sent, aborted]),
      timeoutMs,
      () => new MailFailure('the mail server took too long', { isFinal: false }),
    )
  } catch (error) {
    throw asFailure(error)
  } finally {
    isOver = true
    signal?.removeEventListener('abort', abort)
    for (const socket of sockets) socket.destroy()
  }
}

function connected(host: string, port: number, addresses: readonly string[], sockets: Set<Socket>): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const socket = connect({ host, port, lookup: lookupOnly(addresses), autoSelectFamily: true })
  sockets.add(socket)
  const late = setTimeout(() => socket.destroy(new Error('no connection in time')), connectTimeoutMs)
  socket.once('connect', () => resolve(socket))
  socket.once('error', reject)
  socket.on('error', () => {})
  return promise.finally(() => clearTimeout(late))
}

async function hand(
  { port, login, sender }: MailServer,
  host: string,
  addresses: readonly string[],
  connection: Socket,
  mail: OutgoingMail,
): Promise<void> {
  const isPrivate = addresses.every((address) => addressKind(address) === 'private')
  const { secure, requireTLS, proves } = tlsRules(port, isPrivate)
  const domain = sender.address.slice(sender.address.lastIndexOf('@') + 1)
  // Most installations never send any.
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({
    host,
    port,
    connection,
    secure,
    requireTLS,
    tls: { rejectUnauthorized: proves, minVersion: 'TLSv1.2' },
    ...(login && { auth: { user: login.username, pass: login.password } }),
    // Said in the greeting; by default it would be what this machine is called.
    name: domain,
    greetingTimeout: connectTimeoutMs,
    socketTimeout: silenceTimeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  try {
    await transport.sendMail({
      from: { name: oneLine(sender.name), address: sender.address },
      to: { name: '', address: mail.to },
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      // The same each time, should it be sent twice.
      messageId: `<${mail.id}@${domain}>`,
      headers: { 'auto-submitted': 'auto-generated' },
    })
  } finally {
    transport.close()
  }
}

/** The message is for whoever named the server, and says nothing of the network that we are in. */
export class MailFailure extends Error {
  /** Whether it would be the same the next time. */
  readonly isFinal: boolean

  constructor(message: string, { isFinal, cause }: { isFinal: boolean; cause?: unknown }) {
    super(message, { cause })
    this.name = 'MailFailure'
    this.isFinal = isFinal
  }
}

type SmtpError = { code?: string; response?: string; responseCode?: number; command?: string }

const unreachable = 'the mail server cannot be reached: its name leads nowhere, or nobody answers at its port'

function asFailure(error: unknown): MailFailure {
  if (error instanceof MailFailure) return error
  // The name leads inside: whether there is one inside is nobody's business.
  if (isAppError(error, 'bad_request') && error.message.includes('leads to'))
    return new MailFailure(unreachable, { isFinal: false, cause: error })
  if (isAppError(error)) return new MailFailure(error.message, { isFinal: false, cause: error })
  const { code = '', response = '', responseCode = 0, command = '' } = error as SmtpError
  const said = response === '' ? '' : `: ${oneLine(response).slice(0, longestReply)}`
  const failure = (message: string, isFinal = false): MailFailure => new MailFailure(message, { isFinal, cause: error })
  switch (code) {
    case 'EAUTH':
    case 'ENOAUTH':
      return failure(`the mail server did not accept username and password${said}`)
    case 'ETLS':
      return failure('the mail server offers no TLS, or its certificate is not good for its name')
    case 'EENVELOPE':
    case 'EMESSAGE':
      return failure(`the mail server did not take the mail${said}`, responseCode >= 500 && command !== 'MAIL FROM')
    case 'EPROTOCOL':
      return failure('what answers there is no mail server')
    default:
      return failure(
        isCertificateError(error) ? 'the certificate of the mail server is not good for its name' : unreachable,
      )
  }
}

function isCertificateError(error: unknown): boolean {
  const { message = '' } = error as { message?: string }
  return /certificate|altnames|self[- ]signed/i.test(message)
}

// Mails of integrations: stored when they are written, sent from the rows (`reconcilers/deliver-mails.ts`), so that who waits for an answer
// learns nothing from how long it took. Where no server is there to take them they are kept: the development mailbox.

import { createHash } from 'node:crypto'
import { oneLine } from '../../lib/mail-text.ts'
import type { AuthIntegration, EmailServer, SmtpServer } from '../../model/auth.ts'
import type { AuthMail } from '../../model/auth-target.ts'
import { AppError } from '../../model/errors.ts'
import type { AuthIntegrationId } from '../../model/ids.ts'
import { isMailAddress } from '../../model/mail-address.ts'
import { getIntegration, getSealedEmailServer } from '../../store/auth/integrations.ts'
import { keepNewMail, queueMail, type MailBounds } from '../../store/auth/mails.ts'
import type { ControlContext } from '../context.ts'
import { openEmailServer } from './secrets.ts'
import type { MailServer } from './smtp-servers.ts'

/** Of one integration; the oldest go. */
export const mostKept = 200

const ofRecipient = { count: 8, seconds: 600 }
/** By the operator's server, whose name everybody's mail is in, and by a server of the integration's own. */
const boundsShared: MailBounds = { recipient: ofRecipient, integration: { count: 200, seconds: 3600 } }
const boundsOwn: MailBounds = { recipient: ofRecipient, integration: { count: 2000, seconds: 3600 } }

const longestSubject = 200
const longestPart = 32 * 1024

export type StoredMail = Pick<AuthMail, 'to' | 'subject' | 'text' | 'html'>

const mailContext = (id: string): string => `auth mail ${id}`

export function openMail(
  { cipher }: Pick<ControlContext, 'cipher'>,
  { id, content }: { id: string; content: Uint8Array },
): StoredMail {
  return JSON.parse(cipher.open(content, mailContext(id))) as StoredMail
}

/**
 * Returns when it is stored. Where more was sent than is good, to one recipient or at all, it is dropped: who asked for it hears nothing of
 * that, since he would learn from it who is known.
 */
export async function storeMail(control: ControlContext, integrationId: string, mail: AuthMail): Promise<void> {
  const { store, cipher, logger } = control
  const { to, subject, text, html } = assertPlain(mail)
  const integration = await getIntegration(store, integrationId)
  if (!integration) throw new AppError('not_found', 'no sign-in is set up any more')
  const server = await emailServerOf(control, integration.id)
  const id = crypto.randomUUID()
  const stored: StoredMail = { to, subject, text, html }
  const row = {
    id,
    integrationId: integration.id,
    kind: mail.kind,
    recipient: createHash('sha256').update(`${integration.id} ${to.toLowerCase()}`).digest(),
    content: cipher.seal(JSON.stringify(stored), mailContext(id)),
    isShared: server.type === 'shared',
  }
  if (!mailServerOf(control, integration, server)) return await keepNewMail(store, row, mostKept)
  const isQueued = await queueMail(store, row, row.isShared ? boundsShared : boundsOwn)
  if (!isQueued)
    logger.warn({ integration: integration.id, kind: mail.kind }, 'a mail was dropped: there were too many')
}

/** Whoever wrote it is believed in what it says, not in where it goes. */
function assertPlain(mail: AuthMail): AuthMail {
  const { to, subject, text, html } = mail
  if (!isMailAddress(to)) throw new AppError('bad_request', 'no mail can be sent to this e-mail address')
  if (text.length > longestPart || html.length > longestPart) throw new AppError('too_large', 'the mail is too long')
  return { ...mail, subject: oneLine(subject, longestSubject) }
}

export async function emailServerOf(control: ControlContext, id: AuthIntegrationId): Promise<EmailServer> {
  return openEmailServer(control.cipher, id, await getSealedEmailServer(control.store, id))
}

/** Undefined: its mails are kept. */
export function mailServerOf(
  { authOperator }: Pick<ControlContext, 'authOperator'>,
  { provider }: Pick<AuthIntegration, 'provider'>,
  server: EmailServer,
): MailServer | undefined {
  if (provider === 'mock') return undefined
  if (server.type === 'standard') return smtpServer(server)
  const operator = authOperator.smtp
  if (!operator) return undefined
  const { host, port, username, password, senderEmail } = operator
  // Anybody's name over the operator's address: it has to be seen that it is not his.
  const own = oneLine(server.senderName ?? '')
  return {
    host,
    port,
    login: username === undefined ? undefined : { username, password: password ?? '' },
    privateAllowed: true,
    sender: { name: own === '' ? operator.senderName : `${own} via ${operator.senderName}`, address: senderEmail },
  }
}

/** An integration's own. */
export function smtpServer(server: SmtpServer): MailServer {
  const { host, port, username, password, senderName, senderEmail, privateAllowed } = server
  const login = username === '' && password === '' ? undefined : { username, password }
  return { host, port, login, privateAllowed, sender: { name: senderName, address: senderEmail } }
}

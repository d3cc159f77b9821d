// Which mails this surface sends, and that nobody can tell from an answer, or from how long it takes, whether one went out.

import { errorChain } from '../../model/errors.ts'
import { authMail, type MailInput } from '../mail/templates.ts'
import { isTrustedRedirect } from '../redirects.ts'
import { sendLinkByWebhook, type LinkMessage, type WebhookOrigin } from '../webhooks.ts'
import type { Call } from './call.ts'
import { known } from './errors.ts'

/** The app's page that a link in a mail leads to. Anybody may ask for a mail to anybody: it leads to the app or nowhere. */
export function callbackUrl(call: Call, url: string): URL {
  const trusted = isTrustedRedirect(call.instance.target, url)
  if (!trusted)
    throw known(
      'REDIRECT_URL_NOT_WHITELISTED',
      'this URL is none of the trusted domains of the project, nor on localhost while that is allowed',
    )
  return trusted
}

export function linkWithCode(callback: URL, code: string): string {
  const link = new URL(callback)
  link.hash = ''
  link.searchParams.set('code', code)
  return link.href
}

type WithoutApp<T> = T extends unknown ? Omit<T, 'appName'> : never
export type Mail = WithoutApp<MailInput> & { url: string }

const linkTypes = {
  verification: 'email-verification',
  password_reset: 'forget-password',
  sign_in: 'sign-in',
} as const satisfies Partial<Record<MailInput['kind'], LinkMessage['type']>>

/** Fails where the app has its links sent by a server of its own, and that does not take it. */
export async function sendLink(call: Call, mail: Mail): Promise<void> {
  if (await isTakenByWebhook(call, mail)) return
  sendLater(call, mail, false)
}

/** Goes on by itself: whoever waits for it, and whoever hears that it failed, learns that there is somebody to write to. */
export function sendLater(call: Call, mail: Mail, asksWebhook = true): void {
  const { controlPlane, target } = call.instance
  const message = authMail({ ...mail, appName: target.appName })
  const work = async (): Promise<void> => {
    if (asksWebhook && (await isTakenByWebhook(call, mail))) return
    await controlPlane.sendMail(target.integrationId, message)
  }
  work().catch((error: unknown) => {
    call.logger.error({ integration: target.integrationId, kind: mail.kind, cause: errorChain(error) }, 'mail not sent')
  })
}

async function isTakenByWebhook(call: Call, mail: Mail): Promise<boolean> {
  if (mail.kind === 'invitation' || mail.kind === 'email_change') return false
  const expiresAt = new Date(Date.now() + mail.expiresInMinutes * 60_000)
  const token = new URL(mail.url).searchParams.get('code') ?? ''
  const message = { type: linkTypes[mail.kind], url: mail.url, token, expiresAt }
  return await sendLinkByWebhook(call.instance.target, { email: mail.to }, message, originOf(call))
}

export const originOf = ({ clientAddress, userAgent }: Call): WebhookOrigin => ({
  ipAddress: clientAddress,
  userAgent: userAgent ?? undefined,
})

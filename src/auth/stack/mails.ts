// Which mails this surface sends, and that nobody can tell from an answer, or from how long it takes, whether one went out.

import { errorChain } from '../../model/errors.ts'
import { authMail, type MailInput } from '../mail/templates.ts'
import { isTrustedRedirect } from '../redirects.ts'
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

/** Goes on by itself: whoever waits for it learns that there is somebody to write to. */
export function sendLater(call: Call, input: WithoutApp<MailInput>): void {
  const { controlPlane, target } = call.instance
  const mail = authMail({ ...input, appName: target.appName })
  controlPlane.sendMail(target.integrationId, mail).catch((error: unknown) => {
    call.logger.error(
      { integration: target.integrationId, kind: mail.kind, cause: errorChain(error) },
      'mail not stored',
    )
  })
}

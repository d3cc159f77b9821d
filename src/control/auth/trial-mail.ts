// One mail by a server that is not set yet: does it work? What goes wrong is the answer, not an error.

import type { SmtpServer } from '../../model/auth.ts'
import { AppError } from '../../model/errors.ts'
import { smtpServer } from './mails.ts'
import { MailFailure, sendMail } from './smtp-servers.ts'

const timeoutMs = 20_000
/** Whoever may try can have this machine knock and wait: a few at a time, and one at each server. */
const atOnce = 8
const under = new Set<string>()

export type TestMailOutcome = { success: boolean; error: string | undefined }

/** `server`: one that the caller may name. Throws `rate_limited`. */
export async function sendTestMail(server: SmtpServer, recipient: string): Promise<TestMailOutcome> {
  if (under.has(server.host) || under.size >= atOnce) {
    throw new AppError('rate_limited', 'another test mail is on its way; try again when it has arrived', {
      retryAfterSeconds: timeoutMs / 1000,
    })
  }
  under.add(server.host)
  const text = 'This mail server can send the mails of your app.'
  const mail = { subject: 'Test mail', text: `${text}\n`, html: `<p>${text}</p>` }
  try {
    await sendMail(smtpServer(server), { id: crypto.randomUUID(), to: recipient, ...mail }, { timeoutMs })
    return { success: true, error: undefined }
  } catch (error) {
    if (!(error instanceof MailFailure)) throw error
    return { success: false, error: error.message }
  } finally {
    under.delete(server.host)
  }
}

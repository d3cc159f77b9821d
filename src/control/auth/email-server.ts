// The server that an integration's mails go through: the operator's, or one of the tenant's own. Its password is shown to nobody.

import type { EmailServer, SmtpServer } from '../../model/auth.ts'
import type { Caller } from '../../model/caller.ts'
import { AppError } from '../../model/errors.ts'
import type { OrganizationId } from '../../model/ids.ts'
import { getSealedEmailServer, setSealedEmailServer } from '../../store/auth/integrations.ts'
import type { Sql } from '../../store/database.ts'
import type { ControlContext } from '../context.ts'
import { visibleProject } from '../access.ts'
import { mayNamePrivate } from '../outbound-urls.ts'
import type { AuthControl, EmailServerInput, ShownEmailServer } from './auth-control.ts'
import { changeIntegration, visibleIntegration } from './find.ts'
import { assertEmail } from './emails.ts'
import { openEmailServer, sealEmailServer } from './secrets.ts'
import { assertMailServer } from './smtp-servers.ts'
import { sendTestMail } from './trial-mail.ts'

export function emailServerControl(control: ControlContext): AuthControl['emailServer'] {
  return {
    async get(caller, place) {
      const { id } = await visibleIntegration(control, caller, place)
      return shown(openEmailServer(control.cipher, id, await getSealedEmailServer(control.store, id)))
    },

    async set(caller, place, given) {
      return await changeIntegration(control, caller, place, async (sql, { id }, project) => {
        const before = openEmailServer(control.cipher, id, await getSealedEmailServer(sql, id))
        const server = await checkedServer(sql, caller, project.orgId, before, given)
        await setSealedEmailServer(sql, id, sealEmailServer(control.cipher, id, server))
        return shown(server)
      })
    },

    async test(caller, place, given, recipient) {
      assertEmail(recipient, 'recipient_email')
      const project = await visibleProject(control.store, caller, place.projectId, 'project:write')
      const { id } = await visibleIntegration(control, caller, place)
      const before = openEmailServer(control.cipher, id, await getSealedEmailServer(control.store, id))
      const server = await checkedServer(control.store, caller, project.orgId, before, given)
      if (server.type !== 'standard') throw new AppError('internal', 'a server is to be tested that is none')
      return await sendTestMail(server, recipient)
    },
  }
}

const shown = (server: EmailServer): ShownEmailServer =>
  server.type === 'shared' ? server : { ...server, password: '' }

async function checkedServer(
  sql: Sql,
  caller: Caller,
  orgId: OrganizationId,
  before: EmailServer,
  given: EmailServerInput,
): Promise<EmailServer> {
  if (given.type === 'shared') {
    if (given.senderEmail !== undefined) assertEmail(given.senderEmail, 'sender_email')
    if (given.senderName !== undefined) assertLine(given.senderName, 'sender_name')
    return { type: 'shared', senderEmail: given.senderEmail, senderName: given.senderName }
  }
  const server = await checkedSmtpServer(sql, caller, orgId, given)
  if (server.password !== '') return { type: 'standard', ...server }
  // What GET shows may be sent back. Not to another server, though: whoever names that would learn the password.
  if (before.type !== 'standard' || !sameAccount(before, server))
    throw new AppError('bad_request', 'password must not be empty')
  return { type: 'standard', ...server, password: before.password }
}

const sameAccount = (a: SmtpServer, b: SmtpServer): boolean =>
  a.host === b.host && a.port === b.port && a.username === b.username

/** Throws `bad_request`. The password may be empty here. */
async function checkedSmtpServer(
  sql: Sql,
  caller: Caller,
  orgId: OrganizationId,
  given: Omit<SmtpServer, 'privateAllowed'>,
): Promise<SmtpServer> {
  const privateAllowed = await mayNamePrivate(sql, caller, orgId)
  const { host, port, username, password, senderEmail, senderName } = given
  assertLine(username, 'username', 0)
  assertLine(password, 'password', 0, 1024)
  assertLine(senderName, 'sender_name', 0)
  assertMailServer({ host, port, privateAllowed, sender: { name: senderName, address: senderEmail } })
  return { host, port, username, password, senderEmail, senderName, privateAllowed }
}

/** They become parts of headers and of commands. */
function assertLine(text: string, field: string, least = 1, most = 256): void {
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  const isLine = text.isWellFormed() && !/[\u0000-\u001f\u007f\u2028\u2029]/.test(text)
  if (!isLine || text.length < least || text.length > most)
    throw new AppError('bad_request', `${field} must be one line of ${least} to ${most} characters`)
}

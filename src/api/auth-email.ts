// The server that mails to users go through.

import type {
  NeonAuthEmailServerConfig,
  SendNeonAuthTestEmailRequest,
  StandardEmailServer,
} from '@neondatabase/api-client'
import type { EmailServerInput, ShownEmailServer } from '../control/auth/auth-control.ts'
import { ofBranch, ofProject } from './auth-place.ts'
import type { Wire } from './contract/wire.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'

/** `custom`: as Neon's guides say `standard`. */
type EmailServerBody = NeonAuthEmailServerConfig | ({ type: 'custom' } & StandardEmailServer)
type Updated = ApiRequest<unknown, EmailServerBody>

export const authEmail = {
  async getNeonAuthEmailProvider({ control, caller, params }: ApiRequest) {
    return ok(emailServerView(await control.auth.emailServer.get(caller, ofBranch(params))))
  },

  async getNeonAuthEmailServer({ control, caller, params }: ApiRequest) {
    return ok(emailServerView(await control.auth.emailServer.get(caller, ofProject(params))))
  },

  async updateNeonAuthEmailProvider({ control, caller, params, body }: Updated) {
    return ok(emailServerView(await control.auth.emailServer.set(caller, ofBranch(params), emailServerOf(body))))
  },

  async updateNeonAuthEmailServer({ control, caller, params, body }: Updated) {
    return ok(emailServerView(await control.auth.emailServer.set(caller, ofProject(params), emailServerOf(body))))
  },

  async sendNeonAuthTestEmail({ control, caller, params, body }: ApiRequest<unknown, SendNeonAuthTestEmailRequest>) {
    const place = ofBranch(params)
    const { success, error } = await control.auth.emailServer.test(
      caller,
      place,
      standardServerOf(body),
      body.recipient_email,
    )
    return ok({ success, error_message: error })
  },
} satisfies Handlers

function emailServerOf(body: Wire<EmailServerBody>): EmailServerInput {
  if (body.type !== 'shared') return standardServerOf(body)
  return { type: 'shared', senderEmail: body.sender_email, senderName: body.sender_name }
}

function standardServerOf(body: Wire<StandardEmailServer>): Extract<EmailServerInput, { type: 'standard' }> {
  const { host, port, username, password } = body
  return {
    type: 'standard',
    host,
    port,
    username,
    password,
    senderEmail: body.sender_email,
    senderName: body.sender_name,
  }
}

export function emailServerView(server: ShownEmailServer): Wire<NeonAuthEmailServerConfig> {
  const sender = { sender_email: server.senderEmail ?? '', sender_name: server.senderName ?? '' }
  if (server.type === 'standard') {
    const { type, host, port, username, password } = server
    return { type, host, port, username, password, ...sender }
  }
  return { type: 'shared', sender_email: server.senderEmail, sender_name: server.senderName }
}

// Mails that were kept because no server took them.

import type { ShownMail } from '../control/auth/mailbox.ts'
import { ok, type ApiRequest, type Handlers } from './handler.ts'
import { milliseconds } from './timestamps.ts'

const defaultLimit = 50

export const authMailbox = {
  async listAuthMailbox({ control, caller, params, query }: ApiRequest<{ limit?: number | undefined }>) {
    const place = { projectId: params.project_id, branchId: params.branch_id }
    const mails = await control.authMailbox.list(caller, place, query.limit ?? defaultLimit)
    return ok({ mails: mails.map(mailView) })
  },

  async emptyAuthMailbox({ control, caller, params }: ApiRequest) {
    await control.authMailbox.empty(caller, { projectId: params.project_id, branchId: params.branch_id })
    return { status: 204 as const }
  },
} satisfies Handlers

function mailView({ id, kind, createdAt, to, subject, text, html }: ShownMail): Record<string, string | string[]> {
  const links = [...new Set(text.match(/https?:\/\/\S+/g))]
  return { id, kind, created_at: milliseconds(createdAt), to, subject, text, html, links }
}

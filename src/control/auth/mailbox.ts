// The development mailbox: mails that no server took. Links and codes in them sign people in, so it is for whoever may change the project.

import type { Caller } from '../../model/caller.ts'
import { deleteKeptMails, listKeptMails } from '../../store/auth/mails.ts'
import type { ControlContext } from '../context.ts'
import { visibleIntegration } from './find.ts'
import { openMail, type StoredMail } from './mails.ts'

export type ShownMail = StoredMail & { id: string; kind: string; createdAt: Date }

type Place = { projectId: string; branchId: string }

export interface AuthMailboxControl {
  /** Newest first. */
  list(caller: Caller, place: Place, limit: number): Promise<ShownMail[]>
  empty(caller: Caller, place: Place): Promise<void>
}

export function authMailboxControl(control: ControlContext): AuthMailboxControl {
  return {
    async list(caller, place, limit) {
      const integration = await visibleIntegration(control, caller, place, 'project:write')
      const mails = await listKeptMails(control.store, integration.id, limit)
      return mails.map(({ id, kind, content, createdAt }) => ({
        id,
        kind,
        createdAt,
        ...openMail(control, { id, content }),
      }))
    },
    async empty(caller, place) {
      const integration = await visibleIntegration(control, caller, place, 'project:write')
      await deleteKeptMails(control.store, integration.id)
    },
  }
}

// What has happened in projects: newest first, page by page.

import { eventBody } from '../control/event-body.ts'
import type { EventPage } from '../control/params.ts'
import { ok, type Answer, type ApiRequest, type Handlers } from './handler.ts'
import { formatEventCursor, parseEventCursor } from './paging.ts'

type PageQuery = { limit?: number | undefined; cursor?: string | undefined }

const defaultPageSize = 100

const toPage = ({ limit, cursor }: PageQuery): { limit: number; before: number | undefined } => ({
  limit: limit ?? defaultPageSize,
  before: parseEventCursor(cursor),
})

const answer = ({ events, next }: EventPage): Answer<unknown> =>
  ok({
    events: events.map(eventBody),
    pagination: next === undefined ? {} : { next: formatEventCursor(next) },
  })

export const events = {
  async listProjectEvents({ control, caller, params, query }: ApiRequest<PageQuery>) {
    return answer(await control.events.ofProject(caller, params.project_id, toPage(query)))
  },

  async listOrganizationEvents({ control, caller, params, query }: ApiRequest<PageQuery>) {
    return answer(await control.events.ofOrganization(caller, params.org_id, toPage(query)))
  },
} satisfies Handlers

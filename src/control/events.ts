// What has happened, read page by page: of a project by whoever may see it, of all projects by the organization's members.

import { deleteOldEvents, listEvents } from '../store/events.ts'
import type { PlatformEvent } from '../model/event.ts'
import { organizationFor, visibleProjectEvenDeleted } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'

const keptDays = 90

export function eventControl(control: ControlContext): Control['events'] {
  const page = (events: PlatformEvent[], limit: number): Awaited<ReturnType<Control['events']['ofProject']>> => ({
    events,
    next: events.length === limit ? events.at(-1)?.id : undefined,
  })
  return {
    async ofProject(caller, projectId, query) {
      // What it was to another organization stays with that one.
      const { orgId } = await visibleProjectEvenDeleted(control.store, caller, projectId)
      return page(await listEvents(control.store, { orgId, projectId }, query), query.limit)
    },
    async ofOrganization(caller, orgId, query) {
      await organizationFor(control.store, caller, orgId)
      return page(await listEvents(control.store, { orgId }, query), query.limit)
    },
  }
}

/** Safe to run at any time, any number of times. */
export async function forgetOldEvents(control: ControlContext): Promise<void> {
  await deleteOldEvents(control.store, keptDays)
}

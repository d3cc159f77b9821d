// Users of an integration as the management API makes and removes them: rows in the tenant's own database, whose compute is woken for it.

import type pg from 'pg'
import { createUser, deleteUser, drainEvents, setUserRoles } from '../../compute/auth/users.ts'
import { sqlState } from '../../compute/roles.ts'
import type { AuthIntegration } from '../../model/auth.ts'
import { AppError, errorChain } from '../../model/errors.ts'
import { liveBranch } from '../access.ts'
import type { ControlContext } from '../context.ts'
import { assertDisplayName } from '../names.ts'
import { withPointCompute } from '../point-compute.ts'
import type { AuthControl } from './auth-control.ts'
import { normalEmail } from './emails.ts'
import { storeEvents } from './events.ts'
import { visibleIntegration } from './find.ts'
import { withAuthClient } from './provisioning.ts'

const longestName = 255
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function authUserControl(control: ControlContext): AuthControl['users'] {
  return {
    async create(caller, place, { email: given, name }) {
      const email = normalEmail(given)
      if (name !== undefined) assertDisplayName(name, 'user', longestName)
      const integration = await visibleIntegration(control, caller, place, 'project:write')
      return await inUsersDatabase(control, integration, async (client) => {
        return (await createUser(client, { email, name })).id
      })
    },

    async delete(caller, place, userId) {
      const integration = await visibleIntegration(control, caller, place, 'project:write')
      // No compute is woken for what can be nobody's.
      if (!uuid.test(userId)) throw userNotFound()
      await inUsersDatabase(control, integration, async (client) => {
        if (!(await deleteUser(client, userId))) throw userNotFound()
      })
    },

    async setRoles(caller, place, userId, roles) {
      const integration = await visibleIntegration(control, caller, place, 'project:write')
      if (!uuid.test(userId)) throw userNotFound()
      return await inUsersDatabase(control, integration, async (client) => {
        if (!(await setUserRoles(client, userId, roles))) throw userNotFound()
        return userId
      })
    },
  }
}

const userNotFound = (): AppError => new AppError('not_found', 'user not found')

/** `work` gets a connection of the role that owns the users; what it did is told to the integration's webhook afterwards. */
async function inUsersDatabase<T>(
  control: ControlContext,
  integration: AuthIntegration,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const branch = await liveBranch(control.store, integration.projectId, integration.branchId)
  try {
    return await withPointCompute(control, branch, { kind: 'head' }, 'auth users', async (timelineId) => {
      await control.authPlane.databases.ensure(integration.id, timelineId)
      return await withAuthClient(control, timelineId, integration.databaseName, async (client) => {
        const result = await work(client)
        await tellEvents(control, integration, client)
        return result
      })
    })
  } catch (error) {
    throw toRefusal(integration, error)
  }
}

/** The user is there, whatever becomes of this: what is not handed over now is by whoever comes next. */
async function tellEvents(control: ControlContext, { id }: AuthIntegration, client: pg.Client): Promise<void> {
  try {
    await drainEvents(client, async (events) => {
      const told = events.map(({ createdAt, ...event }) => ({ ...event, at: createdAt.getTime() }))
      await storeEvents(control, id, told)
    })
  } catch (error) {
    control.logger.warn(
      { integration: id, cause: errorChain(error) },
      'what happened to users could not be handed over',
    )
  }
}

/** What Postgres says about a tenant's own database is his affair: he may have dropped it, or what sign-in made in it. */
function toRefusal({ databaseName }: AuthIntegration, cause: unknown): unknown {
  if (cause instanceof AppError || sqlState(cause) === undefined) return cause
  return new AppError(
    'unprocessable',
    `database ${JSON.stringify(databaseName)} does not take it (SQLSTATE ${sqlState(cause)}): is its schema neon_auth still as sign-in made it?`,
    { cause },
  )
}

// Key sets of a project: where the keys are published that sign tokens for its roles.

import { AppError } from '../model/errors.ts'
import { insertJwks, deleteJwks, listJwks } from '../store/jwks.ts'
import { liveBranch, lockVisibleProject, visibleProject } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertDisplayName, assertRoleName } from './names.ts'

const mostKeySets = 50
const longestUrl = 2048
const longestAudience = 255
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function jwksControl(control: ControlContext): Control['jwks'] {
  return {
    async list(caller, projectId) {
      await visibleProject(control.store, caller, projectId)
      return await listJwks(control.store, projectId)
    },
    async add(caller, projectId, input) {
      assertJwksUrl(input.url)
      assertDisplayName(input.providerName, 'provider', 64)
      if (input.audience !== undefined && (input.audience === '' || input.audience.length > longestAudience))
        throw new AppError('bad_request', `jwt_audience must have 1 to ${longestAudience} characters`)
      for (const name of input.roleNames ?? []) assertRoleName(name)
      return await control.store.transaction(async (sql) => {
        const project = await lockVisibleProject(sql, caller, projectId)
        const branch = input.branchId === undefined ? undefined : await liveBranch(sql, projectId, input.branchId)
        if ((await listJwks(sql, projectId)).length >= mostKeySets)
          throw new AppError('unprocessable', `a project has at most ${mostKeySets} key sets`)
        return await insertJwks(sql, {
          ...input,
          id: crypto.randomUUID(),
          projectId: project.id,
          branchId: branch?.id,
        })
      })
    },
    async delete(caller, projectId, id) {
      await visibleProject(control.store, caller, projectId)
      const deleted = uuid.test(id) ? await deleteJwks(control.store, projectId, id) : undefined
      if (!deleted) throw new AppError('not_found', 'JWKS not found')
      return deleted
    },
  }
}

/** Keys that came over a line that others can write on would be anybody's; on this machine there is no such line. */
function assertJwksUrl(text: string): void {
  const url = text.length <= longestUrl && URL.canParse(text) ? new URL(text) : undefined
  const loopback = url && /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname)
  if (url && url.username === '' && url.password === '' && url.hash === '') {
    if (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) return
  }
  throw new AppError(
    'bad_request',
    'jwks_url must be an https URL without credentials and fragment (http only for this machine: localhost, 127.0.0.1, [::1])',
  )
}

// What an integration does: settings of sign-in, and the webhook that is told of it.

import type { AuthSettings } from '../../model/auth.ts'
import { AppError } from '../../model/errors.ts'
import { setIntegrationSettings } from '../../store/auth/integrations.ts'
import type { ControlContext } from '../context.ts'
import { assertOutboundUrl, mayNamePrivate } from '../outbound-urls.ts'
import type { AuthControl, SettingsChange } from './auth-control.ts'
import { changeIntegration, visibleIntegration } from './find.ts'

export function authSettingsControl(
  control: ControlContext,
): Pick<AuthControl, 'settings' | 'changeSettings' | 'setWebhook'> {
  return {
    async settings(caller, place) {
      return (await visibleIntegration(control, caller, place)).settings
    },

    async changeSettings(caller, place, change) {
      return await changeIntegration(control, caller, place, async (sql, { id, settings }) => {
        const changed = changedSettings(settings, change)
        await setIntegrationSettings(sql, id, changed)
        return changed
      })
    },

    async setWebhook(caller, place, { enabled, url, events, timeoutSeconds }) {
      if (enabled && url === undefined) throw new AppError('bad_request', 'webhook_url is required where it is enabled')
      if (enabled && events.length === 0)
        throw new AppError('bad_request', 'enabled_events must name at least one event where the webhook is enabled')
      return await changeIntegration(control, caller, place, async (sql, { id, settings }, project) => {
        const privateAllowed = await mayNamePrivate(sql, caller, project.orgId)
        if (url !== undefined) assertOutboundUrl(url, { privateAllowed, field: 'webhook_url' })
        const webhooks = { enabled, url, privateAllowed, events: [...new Set(events)], timeoutSeconds }
        await setIntegrationSettings(sql, id, { ...settings, webhooks })
        return webhooks
      })
    },
  }
}

/** Fields that a request leaves out are there as undefined, and say nothing. */
function merged<T extends object>(before: T, change: { [Key in keyof T]?: T[Key] | undefined } | undefined): T {
  const given = Object.entries(change ?? {}).filter(([, value]) => value !== undefined)
  return { ...before, ...(Object.fromEntries(given) as Partial<T>) }
}

/** Pure. */
export function changedSettings(before: AuthSettings, change: SettingsChange): AuthSettings {
  return {
    ...before,
    emailAndPassword: merged(before.emailAndPassword, change.emailAndPassword),
    organization: merged(before.organization, change.organization),
    magicLink: merged(before.magicLink, change.magicLink),
    phoneNumber: merged(before.phoneNumber, change.phoneNumber),
    allowLocalhost: change.allowLocalhost ?? before.allowLocalhost,
  }
}

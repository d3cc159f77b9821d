// Where an organization's events are sent, and the secret that they are signed with.

import { createHmac, randomBytes } from 'node:crypto'
import type { Cipher } from '../lib/cipher.ts'
import { AppError } from '../model/errors.ts'
import type { OrganizationId } from '../model/ids.ts'
import type { Webhook } from '../model/webhook.ts'
import { deleteWebhook, getWebhook, putWebhook } from '../store/webhooks.ts'
import { organizationFor } from './access.ts'
import type { Control } from './control.ts'
import type { ControlContext } from './context.ts'
import { assertOutboundUrl, mayNamePrivate } from './outbound-urls.ts'

const secretPrefix = 'whsec_'
const secretBytes = 32

const webhookNotFound = (): AppError => new AppError('not_found', 'the organization has no webhook; PUT makes one')
const sealedFor = (orgId: OrganizationId): string => `webhook of ${orgId}`

export function webhookControl(control: ControlContext): Control['webhooks'] {
  return {
    async put(caller, orgId, { url }) {
      const organization = await organizationFor(control.store, caller, orgId, 'organization:admin')
      const privateAllowed = await mayNamePrivate(control.store, caller, organization.id)
      assertOutboundUrl(url, { privateAllowed })
      const secret = `${secretPrefix}${randomBytes(secretBytes).toString('base64')}`
      const webhook = await putWebhook(control.store, {
        orgId: organization.id,
        url,
        secret: control.cipher.seal(secret, sealedFor(organization.id)),
        privateAllowed,
      })
      return { webhook, secret }
    },
    async get(caller, orgId) {
      const organization = await organizationFor(control.store, caller, orgId, 'organization:admin')
      const webhook = await getWebhook(control.store, organization.id)
      if (!webhook) throw webhookNotFound()
      return webhook
    },
    async delete(caller, orgId) {
      const organization = await organizationFor(control.store, caller, orgId, 'organization:admin')
      await deleteWebhook(control.store, organization.id)
    },
  }
}

/**
 * Headers by which a receiver knows that a body is ours: those of Standard Webhooks (https://www.standardwebhooks.com), for which there are
 * libraries. `id` is the same for each attempt; `timestamp` in seconds since 1970.
 */
export function signatureHeaders(
  cipher: Cipher,
  webhook: Pick<Webhook, 'orgId' | 'secret'>,
  message: { id: string; timestamp: number; body: string },
): Record<string, string> {
  const secret = cipher.open(webhook.secret, sealedFor(webhook.orgId)).slice(secretPrefix.length)
  const signature = createHmac('sha256', Buffer.from(secret, 'base64'))
    .update(`${message.id}.${message.timestamp}.${message.body}`)
    .digest('base64')
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.timestamp),
    'webhook-signature': `v1,${signature}`,
  }
}

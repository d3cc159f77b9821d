// What clients of this surface can ask for and there is not: said in the words they know, so that nobody waits for something, or takes
// it for done. Lists of what cannot exist are empty, which is true.

import { page, reply, signedIn, type Call, type Reply, type Route } from './call.ts'
import { known, plain } from './errors.ts'

const empty = async (): Promise<Reply> => page([])

const emptyPage = async (): Promise<Reply> =>
  reply({ items: [], is_paginated: true, pagination: { next_cursor: null } })

const refusing =
  (make: (call: Call) => Error) =>
  async (call: Call): Promise<undefined> => {
    throw make(call)
  }

const noPasskeys = refusing(() => known('PASSKEY_AUTHENTICATION_NOT_ENABLED', 'passkeys are not available here'))
const noApiKey = refusing(() =>
  known('API_KEY_NOT_FOUND', 'there is no such key: users and teams have no API keys here'),
)
const noApiKeys = refusing(() => plain(403, 'users and teams have no API keys here'))
const notHere = (what: string): ((call: Call) => Promise<undefined>) =>
  refusing(() => plain(404, `${what} not available here`))

export const unbuiltRoutes: Route[] = [
  {
    method: 'POST',
    path: '/auth/anonymous/sign-up',
    access: 'client',
    handle: refusing(() => known('ANONYMOUS_ACCOUNTS_NOT_ENABLED', 'there are no anonymous users here')),
  },
  {
    method: 'POST',
    path: '/auth/mfa/sign-in',
    access: 'client',
    handle: refusing(() => known('VERIFICATION_CODE_NOT_FOUND', 'no second factor was asked for')),
  },
  { method: 'POST', path: '/auth/passkey/:step', access: 'client', handle: noPasskeys },
  { method: 'POST', path: '/auth/cli', access: 'client', handle: notHere('signing in on command lines is') },
  { method: 'POST', path: '/auth/cli/:step', access: 'client', handle: notHere('signing in on command lines is') },
  ...['/user-api-keys', '/team-api-keys'].flatMap((path): Route[] => [
    { method: 'GET', path, access: 'client', handle: empty },
    { method: 'POST', path, access: 'client', handle: noApiKeys },
    { method: 'POST', path: `${path}/check`, access: 'client', handle: noApiKey },
    { method: 'GET', path: `${path}/:key`, access: 'client', handle: noApiKey },
    { method: 'PATCH', path: `${path}/:key`, access: 'client', handle: noApiKey },
  ]),
  { method: 'GET', path: '/emails/notification-preference/:user', access: 'client', handle: empty },
  {
    method: 'PATCH',
    path: '/emails/notification-preference/:user/:category',
    access: 'client',
    handle: notHere('categories of mails are'),
  },
  { method: 'POST', path: '/emails/send-email', access: 'server', handle: notHere('mails of an app’s own are') },
  { method: 'GET', path: '/emails/delivery-info', access: 'server', handle: notHere('numbers of mails are') },
  { method: 'POST', path: '/emails/capacity-boost', access: 'server', handle: notHere('numbers of mails are') },
  {
    method: 'GET',
    path: '/payments/items/:type/:customer/:item',
    access: 'client',
    handle: refusing(({ params }) =>
      known('ITEM_NOT_FOUND', 'there is no such item: payments are not available here', {
        item_id: (params['item'] ?? '').slice(0, 64),
      }),
    ),
  },
  { method: 'GET', path: '/payments/products/:type/:customer', access: 'client', handle: emptyPage },
  { method: 'GET', path: '/payments/invoices/:type/:customer', access: 'client', handle: emptyPage },
  {
    method: 'POST',
    path: '/payments/purchases/create-purchase-url',
    access: 'client',
    handle: notHere('payments are'),
  },
  {
    method: 'POST',
    path: '/data-vault/stores/:store/:verb',
    access: 'server',
    handle: refusing(({ params }) =>
      known('DATA_VAULT_STORE_DOES_NOT_EXIST', 'there are no vaults here', {
        store_id: (params['store'] ?? '').slice(0, 64),
      }),
    ),
  },
  { method: 'GET', path: '/internal/projects', access: 'client', handle: notThisProject() },
  { method: 'POST', path: '/internal/projects', access: 'client', handle: notThisProject() },
]

function notThisProject(): Route['handle'] {
  return async (call) => {
    signedIn(call)
    throw known('EXPECTED_INTERNAL_PROJECT', 'projects are made by the API of the platform')
  }
}

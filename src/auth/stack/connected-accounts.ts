// A user's accounts elsewhere: which there are, tokens to act there, and letting go of one.

import { refreshTokens } from '../oauth/flow.ts'
import { openToken, sealTokens } from '../oauth/sealed-tokens.ts'
import { connectAccount, listConnections, removeConnection, type ConnectedAccount } from '../store/accounts.ts'
import { countAccounts, findOauthAccountOf, storeTokens, type OauthAccount } from '../store/oauth-accounts.ts'
import { findUser, lockUser } from '../store/users.ts'
import { isAppError } from '../../model/errors.ts'
import { found, isServer, page, reply, sqlState, userIdOf, type Call, type Reply, type Route } from './call.ts'
import { known, plain, schemaError } from './errors.ts'
import { isUuid, optionalText, text } from './fields.ts'
import { accountOfAnother, providerOf, resolve } from './oauth.ts'

/** Before a token ends that somebody is about to use. */
const renewBeforeMs = 60_000

const one = '/oauth-providers/:user/:connection'
const accounts = '/connected-accounts/:user'

export const connectedAccountRoutes: Route[] = [
  { method: 'GET', path: '/oauth-providers', access: 'client', handle: list },
  { method: 'POST', path: '/oauth-providers', access: 'server', handle: create },
  { method: 'GET', path: one, access: 'client', handle: get },
  { method: 'PATCH', path: one, access: 'client', handle: update },
  { method: 'DELETE', path: one, access: 'client', handle: remove },
  { method: 'GET', path: accounts, access: 'client', handle: listAccounts },
  { method: 'POST', path: `${accounts}/:provider/access-token`, access: 'client', handle: accessToken },
  { method: 'POST', path: `${accounts}/:provider/:account/access-token`, access: 'client', handle: accessToken },
]

async function list(call: Call): Promise<Reply> {
  const userId = userIdOf(call, call.query.get('user_id') ?? (isServer(call) ? undefined : 'me'))
  const connections = await listConnections(call.instance.database, userId)
  return page(connections.map((connection) => connectionView(call, userId, connection)))
}

async function listAccounts(call: Call): Promise<Reply> {
  const userId = userIdOf(call, call.params['user'])
  const connections = await listConnections(call.instance.database, userId)
  return page(
    connections.map(({ providerId, accountId }) => ({
      user_id: userId,
      provider: providerId,
      provider_account_id: accountId,
    })),
  )
}

async function get(call: Call): Promise<Reply> {
  const userId = userIdOf(call, call.params['user'])
  return reply(connectionView(call, userId, await connectionOf(call, userId)))
}

/** Of an account that the app's server knows to be the user's. */
async function create(call: Call): Promise<Reply> {
  const { database } = call.instance
  const userId = userIdOf(call, text(call.body, 'user_id'))
  const { id: providerId } = providerOf(call.instance, text(call.body, 'provider_config_id'))
  const accountId = text(call.body, 'account_id', 255)
  assertBothAllowed(call)
  found(await findUser(database, userId))
  try {
    const id = await connectAccount(database, { userId, providerId, accountId })
    return reply(connectionView(call, userId, { id, providerId, accountId, createdAt: new Date() }), 201)
  } catch (error) {
    if (sqlState(error) === '23505') throw accountOfAnother()
    throw error
  }
}

async function update(call: Call): Promise<Reply> {
  assertBothAllowed(call)
  if (call.body['account_id'] !== undefined || call.body['email'] !== undefined)
    throw schemaError('account_id and email are what the provider says; connect the other account instead')
  return await get(call)
}

async function remove(call: Call): Promise<undefined> {
  const userId = userIdOf(call, call.params['user'])
  const { id } = await connectionOf(call, userId)
  const { database, target } = call.instance
  const isRemoved = await database.transaction(async (queries) => {
    await lockUser(queries, userId)
    const user = await findUser(queries, userId)
    const hasMail = user?.email != null && user.emailSignsIn && user.codeSignsIn && target.settings.magicLink.enabled
    if (!isServer(call) && !hasMail && (await countAccounts(queries, userId)) < 2) return false
    await removeConnection(queries, userId, id)
    return true
  })
  if (!isRemoved) throw plain(400, 'this is the only way in that the user has: add another one first')
  return undefined
}

async function accessToken(call: Call): Promise<Reply> {
  const { database, target } = call.instance
  const userId = userIdOf(call, call.params['user'])
  const described = providerOf(call.instance, call.params['provider'] ?? '')
  if (described.type === 'shared' && !described.isDevelopment)
    throw known(
      'OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS',
      'access tokens need credentials of your own for this provider',
    )
  const wanted = (optionalText(call.body, 'scope') ?? '').split(/[\s,]+/).filter(Boolean)
  const account = await findOauthAccountOf(database, userId, described.id, call.params['account'])
  if (!account)
    throw known('OAUTH_CONNECTION_NOT_CONNECTED_TO_USER', 'the user has no account of this provider connected')
  if (wanted.some((scope) => !account.scopes.includes(scope))) throw lacksScope()
  const token = openToken(target.secret, account.accessToken)
  const isFresh = account.expiresAt === null || account.expiresAt.getTime() - Date.now() > renewBeforeMs
  if (token !== undefined && isFresh) return reply({ access_token: token })
  return reply({ access_token: await renewed(call, account) })
}

async function renewed(call: Call, account: OauthAccount): Promise<string> {
  const { database, target } = call.instance
  const refreshToken = openToken(target.secret, account.refreshToken)
  // Copies of a branch cannot read what was sealed before, and providers take back what they gave: he connects it anew.
  if (refreshToken === undefined) throw lacksScope()
  const provider = resolve(call.instance, providerOf(call.instance, call.params['provider'] ?? ''))
  try {
    const tokens = await refreshTokens(provider, refreshToken)
    await storeTokens(database, account.id, {
      ...sealTokens(target.secret, provider.keepsTokens, tokens),
      scopes: account.scopes,
    })
    return tokens.accessToken
  } catch (error) {
    if (isAppError(error, 'unauthorized')) throw lacksScope()
    throw error
  }
}

const lacksScope = (): Error =>
  known('OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE', 'the user has to connect the account again, with these scopes')

async function connectionOf(call: Call, userId: string): Promise<ConnectedAccount> {
  const id = call.params['connection'] ?? ''
  const connections = isUuid(id) ? await listConnections(call.instance.database, userId) : []
  const connection = connections.find((one) => one.id === id.toLowerCase())
  if (!connection) throw plain(404, 'the user has no such account connected')
  return connection
}

/** Whoever has an account connected may come in by it: there are no accounts here that are for tokens alone. */
function assertBothAllowed({ body }: Call): void {
  if (body['allow_sign_in'] === false) throw schemaError('allow_sign_in cannot be false here')
}

function connectionView(call: Call, userId: string, connection: ConnectedAccount): Record<string, unknown> {
  return {
    user_id: userId,
    id: connection.id,
    provider_config_id: connection.providerId,
    type: connection.providerId,
    allow_sign_in: true,
    allow_connected_accounts: true,
    ...(isServer(call) && { account_id: connection.accountId }),
  }
}

// How the library hashes: in our threads, with its own parameters, so that both surfaces read each other's passwords.

import type { AuthInstance } from '../instance.ts'
import { currentState, noting } from './request-state.ts'

export const shortestPassword = 8
export const longestPassword = 128

type PasswordOptions = {
  minPasswordLength: number
  maxPasswordLength: number
  password: {
    hash(password: string): Promise<string>
    verify(given: { hash: string; password: string }): Promise<boolean>
  }
}

export function passwordOptions(instance: AuthInstance): PasswordOptions {
  const { passwords, target } = instance
  return {
    minPasswordLength: shortestPassword,
    maxPasswordLength: longestPassword,
    password: {
      hash: async (password) => {
        noteHashing()
        const prepared = currentState()?.prepared
        if (prepared?.password === password) return prepared.hash
        return await noting(() => passwords.hash(target.integrationId, password))
      },
      verify: async ({ hash, password }) => {
        noteHashing()
        const isRight = await noting(() =>
          counted(instance, () => passwords.verify(target.integrationId, hash, password)),
        )
        if (isRight && passwords.isImported(hash)) await replaceImported(instance, hash, password)
        return isRight
      },
    },
  }
}

function noteHashing(): void {
  const state = currentState()
  if (state) state.hasHashed = true
}

/** Where the library refuses an account without a look at the password: whom we know is not to be told by how long it took. */
export async function hashForNobody({ passwords, target }: AuthInstance, password: unknown): Promise<void> {
  if (currentState()?.hasHashed !== false || typeof password !== 'string') return
  await noting(() => passwords.verifyNothing(target.integrationId, password))
}

/** Whoever has got hold of a session guesses its user's password no faster than anybody else. Where a body names the account, that was counted. */
async function counted({ limits, target }: AuthInstance, work: () => Promise<boolean>): Promise<boolean> {
  const { confirms, origin } = currentState() ?? {}
  return confirms === undefined
    ? await work()
    : await limits.attempt(target.integrationId, confirms, origin?.ipAddress ?? '', work)
}

/** The transaction of a sign-up has one of few connections: nobody is to wait for a processor with one in hand. */
export async function prepareHash({ passwords, target }: AuthInstance, password: unknown): Promise<void> {
  const state = currentState()
  if (!state || typeof password !== 'string') return
  if (password.length < shortestPassword || password.length > longestPassword) return
  const hash = await noting(() => passwords.hash(target.integrationId, password))
  state.prepared = { password, hash }
}

/** The salt makes a hash unique: it names its account. Where it does not work now, it will when the user comes again. */
async function replaceImported(
  { database, passwords, target }: AuthInstance,
  old: string,
  password: string,
): Promise<void> {
  try {
    const hash = await passwords.hash(target.integrationId, password)
    await database.query(
      `UPDATE "account" SET "password" = $1, "updatedAt" = now() WHERE "providerId" = 'credential' AND "password" = $2`,
      [hash, old],
    )
  } catch {
    // The password was right.
  }
}

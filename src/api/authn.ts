// Who is calling: an API key becomes a Caller.

import type { Control } from '../control/control.ts'
import type { Caller } from '../model/caller.ts'
import { AppError } from '../model/errors.ts'

/** Longer than any key; what is longer is not looked up. */
const longestKey = 512

/** Throws `unauthorized`. */
export async function authenticate(control: Control, authorization: string | undefined, from: string): Promise<Caller> {
  const key = /^Bearer[ ]+(\S+)[ ]*$/i.exec(authorization ?? '')?.[1]
  if (key === undefined || key.length > longestKey) {
    throw new AppError('unauthorized', "authentication required: send the header 'Authorization: Bearer <API key>'")
  }
  return await control.authenticate(key, from)
}

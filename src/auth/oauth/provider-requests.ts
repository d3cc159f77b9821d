// Requests to providers: bounded in time and size, and never led elsewhere by a redirect, since they carry secrets.

import { AppError } from '../../model/errors.ts'
import { isClaims, type Claims } from './profile.ts'

const longestMs = 10_000
const mostBytes = 512 * 1024

/** The body of an answer, read as JSON. `who` is named in errors; nothing of what was sent or answered is. */
export async function askProvider(
  who: string,
  url: string,
  init: { body?: URLSearchParams; accessToken?: string } = {},
): Promise<{ ok: boolean; body: unknown }> {
  try {
    const answer = await fetch(url, {
      method: init.body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        'user-agent': 'pgrove',
        ...(init.accessToken !== undefined && { authorization: `Bearer ${init.accessToken}` }),
      },
      ...(init.body !== undefined && { body: init.body }),
      redirect: 'error',
      signal: AbortSignal.timeout(longestMs),
    })
    const text = await readBounded(answer)
    return { ok: answer.ok, body: parsed(text) }
  } catch (error) {
    throw new AppError('unavailable', `${who} did not answer as it should; try again`, { cause: error })
  }
}

/** An error of the parser's own would quote what it read. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new Error('the answer is no JSON')
  }
}

/** As above, where anything but an object and success is a refusal. */
export async function claimsFrom(who: string, url: string, accessToken: string): Promise<Claims> {
  const { ok, body } = await askProvider(who, url, { accessToken })
  if (!ok || !isClaims(body)) throw new AppError('unauthorized', `${who} did not say who is signing in`)
  return body
}

/** For `jose`, which asks for key sets by itself. */
export async function fetchBounded(url: string, init: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...init, redirect: 'error' })
  return new Response(await readBounded(answer), { status: answer.status, headers: answer.headers })
}

async function readBounded(answer: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of answer.body ?? []) {
    size += part.byteLength
    if (size > mostBytes) throw new Error('the answer is too long')
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

// Who is there? Answered before any compute is disturbed: against the role's verifier, which control knows also while the compute sleeps.
//
// An endpoint or a role that does not exist goes through the same exchange, with a verifier that nothing opens; its salt is
// always the same for the same names, as a real one's is. What comes of it are the keys behind the verifier: with them the session
// to Postgres is opened, and no password is kept.

import { createHmac, randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import {
  writeAuthenticationSasl,
  writeAuthenticationSaslContinue,
  writeAuthenticationSaslFinal,
} from '../pgwire/backend-messages.ts'
import { readSaslInitialResponse, readSaslResponse } from '../pgwire/frontend-messages.ts'
import { readMessage, type Message } from '../pgwire/message.ts'
import type { Parsed } from '../pgwire/startup-packet.ts'
import { deriveKeys, opens, type ScramKeys } from '../pgwire/scram-keys.ts'
import { ScramServer } from '../pgwire/scram-server.ts'
import { defaultIterations, readVerifier, type ScramVerifier } from '../pgwire/scram-verifier.ts'
import { isAllowed, isPrivate, plainAddress } from '../lib/allow-list.ts'
import type { RoleAccess } from './control-plane.ts'
import { refusals } from './errors.ts'
import { PasswordMemory } from './password-memory.ts'
import type { RoleCache } from './role-cache.ts'
import type { Throttle } from './throttle.ts'
import { readFrom } from './socket-reader.ts'

/** Somebody who says who he is. */
export type Applicant = {
  endpointId: string
  user: string
  /** Undefined once the connection is gone. */
  address: string | undefined
}

export type Credentials = {
  user: string
  keys: ScramKeys
  access: RoleAccess
}

export type AuthenticatorOptions = {
  roles: RoleCache
  throttle: Throttle
  /** Salts of roles that do not exist are made from it; the same over restarts. */
  mockSecret: Buffer
}

const longestSaslMessage = 4_096

export class Authenticator {
  readonly #roles: RoleCache
  readonly #throttle: Throttle
  readonly #mockSecret: Buffer
  readonly #memory = new PasswordMemory()

  constructor({ roles, throttle, mockSecret }: AuthenticatorOptions) {
    this.#roles = roles
    this.#throttle = throttle
    this.#mockSecret = mockSecret
  }

  /** SCRAM on the wire; the client is told all but AuthenticationOk. Throws Refusal, ProtocolError, ConnectionLost, AppError. */
  async scram(client: Duplex, applicant: Applicant, channelBinding: Buffer | undefined): Promise<Credentials> {
    return await this.#throttled(applicant, async (access, verifier) => {
      client.write(writeAuthenticationSasl(ScramServer.mechanisms(channelBinding)))
      const scram = new ScramServer(verifier, channelBinding)
      const initial = readSaslInitialResponse(await readFrom(client, readSaslMessage))
      client.write(writeAuthenticationSaslContinue(scram.first(initial.mechanism, initial.data)))
      const outcome = scram.final(readSaslResponse(await readFrom(client, readSaslMessage)))
      if (!outcome || !access) return undefined
      client.write(writeAuthenticationSaslFinal(outcome.serverFinal))
      return { user: applicant.user, keys: outcome.keys, access }
    })
  }

  /** Of a password in clear text. Throws Refusal, AppError. */
  async password(applicant: Applicant, password: string): Promise<Credentials> {
    return await this.#throttled(applicant, async (access, verifier) => {
      const known = access?.verifier === undefined ? undefined : this.#memory.recall(access.verifier, password)
      const keys = known ?? (await deriveKeys(password, verifier.salt, verifier.iterations))
      if (!access || !opens(keys, verifier)) return undefined
      if (!known && access.verifier !== undefined) this.#memory.keep(access.verifier, password, keys)
      return { user: applicant.user, keys, access }
    })
  }

  /** Who may try at all: for those that prove themselves in another way. Throws Refusal, AppError. */
  async admit(applicant: Applicant): Promise<RoleAccess | undefined> {
    const access = await this.#roles.lookup(applicant.endpointId, applicant.user)
    if (access) assertAdmitted(access, applicant.address)
    return access
  }

  async #throttled(
    applicant: Applicant,
    check: (access: RoleAccess | undefined, verifier: ScramVerifier) => Promise<Credentials | undefined>,
  ): Promise<Credentials> {
    const { endpointId, address } = applicant
    using _turn = await this.#throttle.turn(endpointId, address)
    const access = await this.admit(applicant)
    const real = access?.verifier === undefined ? undefined : readVerifier(access.verifier)
    const credentials = await check(real && access, real ?? this.#mockVerifier(applicant))
    if (!credentials) {
      this.#roles.doubt(endpointId, applicant.user)
      await this.#throttle.failed(endpointId, address)
      throw refusals.authenticationFailed(applicant.user)
    }
    this.#throttle.succeeded(endpointId, address)
    return credentials
  }

  #mockVerifier({ endpointId, user }: Applicant): ScramVerifier {
    const salt = createHmac('sha256', this.#mockSecret)
      .update(JSON.stringify([endpointId, user]))
      .digest()
    return {
      iterations: defaultIterations,
      salt: salt.subarray(0, 16),
      storedKey: randomBytes(32),
      serverKey: randomBytes(32),
    }
  }
}

function assertAdmitted(access: RoleAccess, address: string | undefined): void {
  if (access.allowedIps && !isAllowed(address, access.allowedIps)) {
    throw refusals.addressNotAllowed(address === undefined ? 'unknown' : plainAddress(address))
  }
  if (access.publicBlocked && !isPrivate(address)) throw refusals.blockedNetwork()
}

function readSaslMessage(buffer: Buffer): Parsed<Message> {
  return readMessage(buffer, longestSaslMessage)
}

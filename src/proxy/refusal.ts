/** A connection that is turned away with an ErrorResponse that we word ourselves. */

import type { ErrorFields } from '../pgwire/error-fields.ts'

export class Refusal extends Error {
  readonly fields: ErrorFields

  constructor(sqlState: string, message: string, more: { detail?: string; hint?: string } = {}) {
    super(message)
    this.name = 'Refusal'
    // FATAL, since the connection always ends with it: clients reconnect after that and only after that.
    this.fields = { severity: 'FATAL', sqlState, message, ...more }
  }
}

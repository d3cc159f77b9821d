import { readErrorFields } from '../pgwire/error-fields.ts'

/** Postgres let nobody in: no such database, too many clients … `message` is its ErrorResponse as it came. */
export class ServerRefused extends Error {
  readonly response: Buffer
  readonly sqlState: string

  constructor(response: Buffer) {
    const fields = readErrorFields(response.subarray(5))
    super(fields.get('M') ?? 'the server refused the connection')
    this.name = 'ServerRefused'
    this.response = response
    this.sqlState = fields.get('C') ?? ''
  }
}

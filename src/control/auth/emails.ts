// E-mail addresses that callers give. Pure.

import { AppError } from '../../model/errors.ts'
import { isMailAddress } from '../../model/mail-address.ts'

/** As users are kept and compared: what people mean by the same address is the same text. Throws `bad_request`. */
export function normalEmail(text: string): string {
  const email = text.normalize('NFKC').toLowerCase()
  assertEmail(email, 'email')
  return email
}

export function assertEmail(text: string, field: string): void {
  if (!text.isWellFormed() || !isMailAddress(text))
    throw new AppError('bad_request', `${field} must be an e-mail address`)
}

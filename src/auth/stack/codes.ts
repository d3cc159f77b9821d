// What codes that came back by mail are answered with.

import type { CodeOutcome } from '../store/verifications.ts'
import { known } from './errors.ts'

export function assertValid<T>(outcome: CodeOutcome<T>): T {
  if (outcome.kind !== 'valid') throw codeRefusal(outcome.kind)
  return outcome.data
}

export function codeRefusal(kind: Exclude<CodeOutcome<unknown>['kind'], 'valid'>): Error {
  switch (kind) {
    case 'not_found':
      return known('VERIFICATION_CODE_NOT_FOUND', 'there is no such code')
    case 'expired':
      return known('VERIFICATION_CODE_EXPIRED', 'the code has expired: ask for another')
    case 'used':
      return known('VERIFICATION_CODE_ALREADY_USED', 'the code has been used already: ask for another')
    case 'exhausted':
      return known('VERIFICATION_CODE_MAX_ATTEMPTS_REACHED', 'the code was given wrong too often: ask for another')
  }
}

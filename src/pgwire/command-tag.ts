// What a command did, by its tag (CommandComplete).

/**
 * Whether a command with a tag that begins so may have changed roles: CREATE, ALTER and DROP of anything, DO and CALL. Functions can do
 * so as well, in a SELECT that looks like any other.
 */
export function mayChangeRoles(first: number | undefined, second: number | undefined): boolean {
  switch (first) {
    case c:
      return second !== o && second !== l
    case d:
      return second === r || second === o
    case a:
      return true
    case undefined:
      return true
    default:
      return false
  }
}

const [a, c, d, l, o, r] = Buffer.from('ACDLOR')

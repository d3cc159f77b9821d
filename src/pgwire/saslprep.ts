// Prepares a password for SCRAM (RFC 4013) the way Postgres does: what cannot be prepared is used as it is.
//
// postgres: src/common/saslprep.c. Left out: its check of mixed writing directions, which only matters for a password that mixes
// them and also changes under NFKC.

const nonAsciiSpaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g
const mappedToNothing = /\u00ad|\u034f|\u1806|\u180b|\u180c|\u180d|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g
const prohibited =
  /[\p{Cc}\p{Co}\p{Cs}\p{Cn}\u0340\u0341\u06dd\u070f\u180e\u200e\u200f\u2028-\u202e\u2061-\u206f\ufff9-\uffff\u2ff0-\u2ffb\u{1d173}-\u{1d17a}\u{e0001}-\u{e007f}]/u

export function saslPrep(password: string): string {
  if (/^[\0-\x7f]*$/.test(password)) return password
  const prepared = password.replace(nonAsciiSpaces, ' ').replace(mappedToNothing, '').normalize('NFKC')
  return prepared === '' || prohibited.test(prepared) ? password : prepared
}

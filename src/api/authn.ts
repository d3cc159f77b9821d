/** Longer than any key; what is longer is not looked up. */
const longestKey = 512

/** The API key that a request carries, if it is one at all. */
export function bearerKey(authorization: string | undefined): string | undefined {
  const key = /^Bearer[ ]+(\S+)[ ]*$/i.exec(authorization ?? '')?.[1]
  return key !== undefined && key.length <= longestKey ? key : undefined
}

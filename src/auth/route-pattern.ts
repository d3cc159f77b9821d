/** A path as a log may have it: words of ours stay, whatever could be a value is a star. */
export function routePattern(path: string): string {
  const [plain = ''] = path.split('?')
  const segments = plain.split('/').slice(1, 1 + mostSegments)
  return segments.map((segment) => `/${wordPattern.test(segment) ? segment : '*'}`).join('')
}

const mostSegments = 6
/** Ids have digits, codes and tokens capitals, addresses dots: none of our routes has any of these, but for the place of the key set. */
const wordPattern = /^(?:[a-z]{1,16}(?:-[a-z]{1,16}){0,4}|\.well-known|jwks\.json)$/

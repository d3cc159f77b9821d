// How much alike two names are, from 0 to 1: for "Perhaps you meant …". The share of pairs of characters that they have in common, or of
// characters that need no change, whichever says more.

/** Enough for a name among few: what belongs to a relation, or can be called. */
export const looselySimilar = 0.5

const longestCompared = 100

export function similarity(one: string, other: string): number {
  const [a, b] = [normal(one), normal(other)]
  if (a === b) return 1
  if (a.length > longestCompared || b.length > longestCompared) return 0
  return Math.max(sharedPairs(a, b), 1 - distance(a, b) / Math.max(a.length, b.length, 1))
}

/** The one that is most alike, where it is at least so much. */
export function mostSimilar(wanted: string, names: Iterable<string>, atLeast = 0.75): string | undefined {
  let best: string | undefined
  let score = atLeast
  for (const name of names) {
    const found = similarity(wanted, name)
    if (found < score || (found === score && best !== undefined)) continue
    best = name
    score = found
  }
  return best
}

const normal = (text: string): string => text.toLowerCase()

function sharedPairs(a: string, b: string): number {
  const [ofA, ofB] = [pairs(a), pairs(b)]
  if (ofA.size === 0 || ofB.size === 0) return 0
  let shared = 0
  for (const pair of ofA) if (ofB.has(pair)) shared += 1
  return (2 * shared) / (ofA.size + ofB.size)
}

function pairs(text: string): Set<string> {
  const found = new Set<string>()
  for (let at = 0; at + 1 < text.length; at++) found.add(text.slice(at, at + 2))
  return found
}

/** Levenshtein's. */
function distance(a: string, b: string): number {
  let before = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (before[j - 1] ?? 0) + (a.charAt(i - 1) === b.charAt(j - 1) ? 0 : 1)
      row.push(Math.min(change, (before[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    before = row
  }
  return before[b.length] ?? 0
}

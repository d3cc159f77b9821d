// Two texts as a unified diff, in time that grows with their length and not with how much they differ.
//
// Lines that stand exactly once in each text, in the same order, are taken for the same (patience diff); what lies between two of them is
// compared line by line where it is short, and replaced where it is not.

export type NamedText = { name: string; text: string }

/** A run of lines, as half-open ranges of both texts: equal ones, or those that differ. */
type Range = { from: number; fromEnd: number; to: number; toEnd: number }

const contextLines = 3
/** Cells of the table that a line by line comparison fills. */
const mostCells = 1_000_000

/** Empty where they are equal. */
export function unifiedDiff(from: NamedText, to: NamedText): string {
  if (from.text === to.text) return ''
  const [before, after] = [linesOf(from.text), linesOf(to.text)]
  const changes = mergeTouching(
    changesIn(before, after, { from: 0, fromEnd: before.length, to: 0, toEnd: after.length }),
  )
  return `--- ${from.name}\n+++ ${to.name}\n${hunksOf(changes, before.length)
    .map((hunk) => printHunk(hunk, before, after))
    .join('')}`
}

function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

function changesIn(before: readonly string[], after: readonly string[], whole: Range): Range[] {
  let { from, fromEnd, to, toEnd } = whole
  while (from < fromEnd && to < toEnd && before[from] === after[to]) [from, to] = [from + 1, to + 1]
  while (from < fromEnd && to < toEnd && before[fromEnd - 1] === after[toEnd - 1])
    [fromEnd, toEnd] = [fromEnd - 1, toEnd - 1]
  const range = { from, fromEnd, to, toEnd }
  if (from === fromEnd || to === toEnd) return from === fromEnd && to === toEnd ? [] : [range]
  const anchors = anchorsIn(before, after, range)
  if (anchors.length === 0) {
    return (fromEnd - from) * (toEnd - to) > mostCells ? [range] : compareLines(before, after, range)
  }
  const changes: Range[] = []
  for (const anchor of [...anchors, { from: fromEnd, to: toEnd }]) {
    // One by one: a spread of many thousands is too many arguments.
    for (const change of changesIn(before, after, { from, fromEnd: anchor.from, to, toEnd: anchor.to }))
      changes.push(change)
    ;[from, to] = [anchor.from + 1, anchor.to + 1]
  }
  return changes
}

type Anchor = { from: number; to: number }

/** The longest rising sequence of lines that are unique on both sides. */
function anchorsIn(before: readonly string[], after: readonly string[], range: Range): Anchor[] {
  const places = new Map<string, { from: number; to: number; count: number }>()
  for (let from = range.from; from < range.fromEnd; from++) {
    const line = before[from] ?? ''
    const known = places.get(line)
    if (known) known.count++
    else places.set(line, { from, to: -1, count: 1 })
  }
  for (let to = range.to; to < range.toEnd; to++) {
    const known = places.get(after[to] ?? '')
    if (known) [known.count, known.to] = [known.to === -1 ? known.count : 2, to]
  }
  // In the order of `before`; each pile's top is the end of the best sequence of that length.
  const piles: (Anchor & { previous: Anchor | undefined })[] = []
  for (const { from, to, count } of places.values()) {
    if (count !== 1 || to === -1) continue
    let [low, high] = [0, piles.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((piles[middle]?.to ?? 0) < to) low = middle + 1
      else high = middle
    }
    piles[low] = { from, to, previous: piles[low - 1] }
  }
  const anchors: Anchor[] = []
  for (let at: (Anchor & { previous?: Anchor | undefined }) | undefined = piles.at(-1); at; at = at.previous)
    anchors.push(at)
  return anchors.toReversed()
}

/** By the longest common subsequence. */
function compareLines(before: readonly string[], after: readonly string[], range: Range): Range[] {
  const [height, width] = [range.fromEnd - range.from, range.toEnd - range.to]
  const lengths = new Uint32Array((height + 1) * (width + 1))
  const at = (row: number, column: number): number => lengths[row * (width + 1) + column] ?? 0
  for (let row = height - 1; row >= 0; row--) {
    for (let column = width - 1; column >= 0; column--) {
      lengths[row * (width + 1) + column] =
        before[range.from + row] === after[range.to + column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1))
    }
  }
  const changes: Range[] = []
  let [row, column] = [0, 0]
  while (row < height || column < width) {
    const [from, to] = [range.from + row, range.to + column]
    if (row < height && column < width && before[from] === after[to]) [row, column] = [row + 1, column + 1]
    else if (column >= width || (row < height && at(row + 1, column) >= at(row, column + 1))) {
      changes.push({ from, fromEnd: from + 1, to, toEnd: to })
      row++
    } else {
      changes.push({ from, fromEnd: from, to, toEnd: to + 1 })
      column++
    }
  }
  return changes
}

function mergeTouching(changes: readonly Range[]): Range[] {
  const merged: Range[] = []
  for (const change of changes) {
    const last = merged.at(-1)
    if (last && last.fromEnd === change.from && last.toEnd === change.to)
      [last.fromEnd, last.toEnd] = [change.fromEnd, change.toEnd]
    else merged.push({ ...change })
  }
  return merged
}

type Hunk = { changes: Range[]; before: number; after: number }

/** Changes whose surroundings touch are shown together. `before` and `after`: how many equal lines go with them. */
function hunksOf(changes: readonly Range[], lines: number): Hunk[] {
  const hunks: Hunk[] = []
  for (const change of changes) {
    const last = hunks.at(-1)
    const end = last?.changes.at(-1)?.fromEnd
    if (last && end !== undefined && change.from - end <= 2 * contextLines) last.changes.push(change)
    else hunks.push({ changes: [change], before: Math.min(contextLines, change.from), after: 0 })
  }
  for (const hunk of hunks) hunk.after = Math.min(contextLines, lines - (hunk.changes.at(-1)?.fromEnd ?? lines))
  return hunks
}

function printHunk(
  { changes, before: ahead, after: behind }: Hunk,
  before: readonly string[],
  after: readonly string[],
): string {
  const [first, last] = [changes[0], changes.at(-1)]
  if (!first || !last) return ''
  const start = { from: first.from - ahead, to: first.to - ahead }
  const lines: string[] = []
  const print = (mark: string, text: readonly string[], start: number, end: number): void => {
    for (let at = start; at < end; at++) lines.push(`${mark}${text[at]}\n`)
  }
  let shown = start.from
  for (const change of changes) {
    print(' ', before, shown, change.from)
    print('-', before, change.from, change.fromEnd)
    print('+', after, change.to, change.toEnd)
    shown = change.fromEnd
  }
  print(' ', before, shown, shown + behind)
  const place = (start: number, end: number): string => `${end === start ? start : start + 1},${end - start}`
  return `@@ -${place(start.from, last.fromEnd + behind)} +${place(start.to, last.toEnd + behind)} @@\n${lines.join('')}`
}

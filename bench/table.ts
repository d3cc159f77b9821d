// Results as lines of text.

import type { Result } from './row.ts'

const number = (value: number): string =>
  Number.isNaN(value) ? '-' : value >= 100 ? value.toFixed(0) : value.toFixed(1)

export function renderResults(results: readonly Result[]): string {
  const cells = [
    ['', 'n', 'p50', 'p99', 'floor', '× floor', 'target', ''],
    ...results.flatMap((result) => {
      const { figures, floor, targets } = result
      const first = [
        `${result.what} (${result.unit})`,
        String(figures.n),
        number(figures.p50),
        figures.n === 1 ? '' : number(figures.p99),
        floor ? number(floor.figures.p50) : '',
        floor ? (figures.p50 / floor.figures.p50).toFixed(2) : '',
        targets[0]?.text ?? '',
        verdict(targets[0]),
      ]
      const more = targets.slice(1).map((target) => ['', '', '', '', '', '', target.text, verdict(target)])
      return [first, ...more]
    }),
  ]
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const lines = cells.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  const notes = results.flatMap(({ what, floor, note }) => [
    ...(floor
      ? [
          `  floor of "${what.trim()}": ${floor.what}, p50 ${number(floor.figures.p50)}, p99 ${number(floor.figures.p99)}`,
        ]
      : []),
    ...(note === undefined ? [] : [`  ${what.trim()}: ${note}`]),
  ])
  return `${[...lines, ...notes].join('\n')}\n`
}

function verdict(target: Result['targets'][number] | undefined): string {
  if (!target) return ''
  return target.met ? 'met' : 'MISSED'
}

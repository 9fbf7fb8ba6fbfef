// Rows as text for people and as JSON for whoever compares runs.
import { median, meets, type Goal, type Row } from './harness.ts'

const columns = ['what', 'size', 'median', 'spread', 'ratio', 'peak MiB', 'goal'] as const

export function tableOf(rows: readonly Row[]): string {
  const cells = [columns as readonly string[], ...rows.map(cellsOf)]
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => (row[i] ?? '').length)))
  const lines = cells.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const notes = rows.flatMap(({ what, note }) => (note === undefined ? [] : [`${what}: ${note}`]))
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return [...lines, ...(notes.length > 0 ? ['', ...notes] : [])].join('\n')
}

function cellsOf(row: Row): string[] {
  const { what, size, samples, unit, ratio, peakBytes = [] } = row
  const low = Math.min(...samples)
  const high = Math.max(...samples)
  return [
    what,
    size,
    `${numberText(median(samples))} ${unit}`,
    samples.length > 1 ? `${numberText(low)}–${numberText(high)}` : '',
    ratio ? `${numberText(ratio.value)} × ${ratio.to}` : '',
    peakBytes.map((bytes) => String(Math.round(bytes / 2 ** 20))).join(' + '),
    verdictOf(row),
  ]
}

/** The goals, each with whether this run reached it. */
function verdictOf({ samples, goal, ratio }: Row): string {
  const parts: string[] = []
  if (goal) parts.push(`${goalText(goal)} ${meets(median(samples), goal) ? 'yes' : 'NO'}`)
  if (ratio?.goal) {
    const isMet = meets(ratio.value, ratio.goal)
    parts.push(`${goalText(ratio.goal)} × ${isMet ? 'yes' : 'NO'}`)
  }
  return parts.join(', ')
}

function goalText({ atLeast, atMost }: Goal): string {
  return atLeast === undefined ? `≤ ${numberText(atMost ?? 0)}` : `≥ ${numberText(atLeast)}`
}

function numberText(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en', { maximumFractionDigits: digits })
}

/** What is kept of a row. */
export function jsonOf(row: Row): object {
  return { ...row, median: median(row.samples) }
}

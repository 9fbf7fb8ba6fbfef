// Sets of small numbers as inclusive runs: what an event has seen is nearly always "all up to n".
import type { Runs } from '../log/rows.ts'

export function hasRun(runs: Runs, value: number): boolean {
  return runs.some(([from, to]) => from <= value && value <= to)
}

export function runsWith(runs: Runs, value: number): Runs {
  return hasRun(runs, value) ? runs : runsUnion([runs, [[value, value]]])
}

export function runsUnion(all: readonly Runs[]): Runs {
  if (all.length === 1) return all[0] as Runs
  const sorted = all.flat().sort((a, b) => a[0] - b[0])
  const merged: [number, number][] = []
  for (const [from, to] of sorted) {
    const last = merged[merged.length - 1]
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to)
    else merged.push([from, to])
  }
  return merged
}

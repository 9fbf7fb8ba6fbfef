// What every benchmark works with: sizes, a directory of its own, rounds in which both sides take
// turns, and rows. A row is a ratio only where both of its sides come from the same rounds.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Size = 'small' | 'full'

/** One line of the table. */
export interface Row {
  readonly what: string
  /** How much of it: files, bytes, events. */
  readonly size: string
  /** Of every round; the median is what counts. */
  readonly samples: readonly number[]
  readonly unit: string
  /** What performance.md asks of the median, and whether more or less is better. */
  readonly goal?: Goal
  readonly ratio?: Ratio
  /** VmHWM of the processes that did it, largest first. */
  readonly peakBytes?: readonly number[]
  readonly note?: string
}

export interface Goal {
  readonly atLeast?: number
  readonly atMost?: number
}

/** Median over median of the yardstick. */
export interface Ratio {
  readonly value: number
  readonly to: string
  readonly goal?: Goal
}

export interface Bench {
  readonly size: Size
  /** At least five count; fewer only to see that it runs. */
  readonly rounds: number
  /** Absolute path of a directory that goes when the benchmark ends. */
  readonly dir: string
  /** `small` or `full`, whichever it is. */
  pick<T>(small: T, full: T): T
  report(row: Row): void
}

export type Run = (bench: Bench) => Promise<void>

/** Runs one benchmark in a temporary directory. */
export async function runBench(
  run: Run,
  options: { readonly size: Size; readonly rounds: number; readonly report: (row: Row) => void },
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'gonk-bench-'))
  try {
    await run({ ...options, dir, pick: (small, full) => (options.size === 'full' ? full : small) })
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** A B A B …: what each side gave in each round. The order turns round with every round. */
export async function interleave<K extends string>(
  rounds: number,
  sides: Readonly<Record<K, (round: number) => Promise<number>>>,
): Promise<Record<K, number[]>> {
  const names = Object.keys(sides) as K[]
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
    K,
    number[]
  >
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      samples[name].push(await sides[name](round))
    }
  }
  return samples
}

/** How long `work` takes, in seconds. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** Linear between the two samples around it. `q` in 0 to 1. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? Number.NaN
  return low + (high - low) * (at - Math.floor(at))
}

/** Median over median. */
export function ratioOf(
  ours: readonly number[],
  yardstick: readonly number[],
  to: string,
  goal?: Goal,
): Ratio {
  return { value: median(ours) / median(yardstick), to, ...(goal && { goal }) }
}

export function meets(value: number, { atLeast, atMost }: Goal): boolean {
  return value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity)
}

/** Largest and present resident memory of a process, in bytes. Linux only; elsewhere 0. */
export async function memoryOf(pid: number): Promise<{ peakBytes: number; nowBytes: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
  return { peakBytes: bytes('VmHWM'), nowBytes: bytes('VmRSS') }
}

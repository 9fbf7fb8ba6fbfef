// What a command prints: one JSON document or readable text on stdout, everything else on stderr.
import type { Progress } from '../api/types.ts'
import type { GonkError } from '../core/errors.ts'

export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
}

export class Output {
  readonly json: boolean
  readonly #quiet: boolean
  readonly #bar: boolean
  #barShown = false

  constructor(options: OutputOptions) {
    this.json = options.json
    this.#quiet = options.quiet
    this.#bar = process.stderr.isTTY && !options.quiet
  }

  /** The result of a command. With --json, `value`; else what `human` makes of it. */
  result(value: object, human: () => string): void {
    this.clearBar()
    this.write(this.json ? JSON.stringify(value) : human())
  }

  /** One line (or block of lines) on stdout; nothing for empty text. */
  write(text: string): void {
    if (text !== '') process.stdout.write(`${text}\n`)
  }

  /** One line on stderr, unless --quiet. */
  note(text: string): void {
    this.clearBar()
    if (!this.#quiet) process.stderr.write(`gonk-node: ${text}\n`)
  }

  error(error: GonkError): void {
    this.clearBar()
    const { code, message, hint } = error
    if (this.json) process.stdout.write(`${JSON.stringify({ error: { code, message, hint } })}\n`)
    else process.stderr.write(`gonk-node: ${code}: ${oneLine(message)}; ${hint}\n`)
  }

  /** Draws progress on one line of a terminal. */
  readonly onProgress = ({ what, done, total, bytes }: Progress): void => {
    if (!this.#bar) return
    const share = total > 0 ? `${bar(done / total)} ${done}/${total}` : `${done}`
    this.#barShown = true
    process.stderr.write(`\r\x1b[K${what} ${share}${bytes > 0 ? `  ${sizeText(bytes)}` : ''}`)
  }

  clearBar(): void {
    if (this.#barShown) process.stderr.write('\r\x1b[K')
    this.#barShown = false
  }
}

const BAR_CELLS = 24

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_CELLS)
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]`
}

const oneLine = (text: string) => text.replaceAll(/\s*\n\s*/g, ' ')

/** Columns padded to their widest cell, no rule lines; `empty` when there are no rows. */
export function table(
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  empty = 'none',
): string {
  if (rows.length === 0) return empty
  const lines = [header, ...rows].map((row) => row.map((cell) => printable(String(cell))))
  const widths = header.map((_, column) =>
    Math.max(...lines.map((row) => row[column]?.length ?? 0)),
  )
  return lines
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** `name  value` lines, aligned; undefined values are left out. */
export function pairs(entries: Readonly<Record<string, string | number | undefined>>): string {
  const shown = Object.entries(entries).filter(([, value]) => value !== undefined)
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown
    .map(([name, value]) => `${name.padEnd(width)}  ${printable(String(value))}`)
    .join('\n')
}

/** Text of strangers without what would steer a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\u{fffd}')
}

/** `1.4 MiB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let power = 0
  let amount = bytes
  for (; amount >= 1024 && power < units.length - 1; power++) amount /= 1024
  return `${power === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${units[power]}`
}

/** `1 file`, `2 files`. */
export const countText = (count: number, what: string) =>
  `${count} ${what}${count === 1 ? '' : 's'}`

/** The first characters of a key: enough to tell a handful of people apart. */
export const shortKey = (key: string) => key.slice(0, 12)

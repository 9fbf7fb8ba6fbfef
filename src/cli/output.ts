// What a command prints: one JSON document or readable text on stdout, everything else on stderr.
import type { Progress } from '../contract/api.ts'
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
  #barAtMs = 0
  #barWhat = ''

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

  /** A file byte by byte on stdout; on a terminal, without what would steer it. */
  document(text: string): void {
    this.clearBar()
    if (process.stdout.isTTY) this.write(printableText(text))
    else process.stdout.write(text)
  }

  /** One line on stderr, unless --quiet. */
  note(text: string): void {
    this.clearBar()
    if (!this.#quiet) process.stderr.write(`gonk-node: ${text}\n`)
  }

  error(error: GonkError): void {
    this.clearBar()
    if (this.json) this.write(JSON.stringify({ error: errorJson(error) }))
    else
      process.stderr.write(`gonk-node: ${error.code}: ${oneLine(error.message)}; ${error.hint}\n`)
  }

  /** Draws progress on one line of a terminal. */
  readonly onProgress = ({ what, done, total, bytes }: Progress): void => {
    const nowMs = Date.now()
    if (!this.#bar || (what === this.#barWhat && nowMs - this.#barAtMs < BAR_EVERY_MS)) return
    this.#barAtMs = nowMs
    this.#barWhat = what
    this.#barShown = true
    const share = total > 1 ? `${bar(done / total)} ${done}/${total}` : done > 0 ? `${done}` : '…'
    process.stderr.write(`\r\x1b[K${what} ${share}${bytes > 0 ? `  ${sizeText(bytes)}` : ''}`)
  }

  clearBar(): void {
    if (this.#barShown) process.stderr.write('\r\x1b[K')
    this.#barShown = false
  }
}

const BAR_CELLS = 24
const BAR_EVERY_MS = 100

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * BAR_CELLS)
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}]`
}

/** An error as --json prints it. */
export function errorJson({ code, message, hint }: GonkError): object {
  return { code, message, hint }
}

const ONE_LINE_CHARACTERS = 1_000

/** A message may repeat what a stranger, or a script gone wrong, has given. */
function oneLine(text: string): string {
  const line = printable(text.replaceAll(/\s*\n\s*/g, ' '))
  if (line.length <= ONE_LINE_CHARACTERS) return line
  return `${line.slice(0, ONE_LINE_CHARACTERS / 2)} … ${line.slice(-ONE_LINE_CHARACTERS / 2)}`
}

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

/** The same for text of several lines. */
export function printableText(text: string): string {
  const plain = text.trimEnd().replaceAll('\r\n', '\n').replaceAll('\t', '  ')
  return plain.split('\n').map(printable).join('\n')
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

/** A short key, and in brackets the name that this node has for it, if it has one. */
export const authorText = (key: string, user: string | undefined): string =>
  user === undefined ? shortKey(key) : `${shortKey(key)} (${user})`

/** The first characters of a key: enough to tell a handful of people apart. */
export const shortKey = (key: string) => key.slice(0, 12)

// The log: pino on stderr, one child per area, secrets blacked out. JSON lines for programs, one
// short line for people.
import { pino } from 'pino'
import type { DestinationStream, Logger as PinoLogger } from 'pino'

export type { PinoLogger }

export interface LoggerOptions {
  /** `silent` to `trace`. */
  readonly level: string
  /** Lines for people instead of JSON. @default false */
  readonly pretty?: boolean
  /** @default stderr */
  readonly destination?: DestinationStream
}

const secrets = [
  'token',
  'apiKey',
  'authorization',
  'authorSeed',
  'peerSeed',
  'secretAccessKey',
  'passphrase',
  'seed',
]
const redact = {
  paths: secrets.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
  censor: '[secret]',
}

/** The root logger of a process. Areas take a child: `logger.child({ area: 'network' })`. */
export function createLogger(options: LoggerOptions): PinoLogger {
  // Synchronous, so that the last lines before a crash are there.
  const stderr = options.destination ?? pino.destination({ fd: 2, sync: true })
  const destination = options.pretty
    ? { write: (line: string) => stderr.write(prettyLine(line)) }
    : stderr
  return pino(
    {
      level: options.level,
      redact,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}

/** `12:00:01 warn network: peer refused peer=12D3Koo…` from one JSON line of pino. */
export function prettyLine(line: string): string {
  const { time, level, area, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
  const clock = String(time).slice(11, 19)
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${fieldText(value)}`)
  const error =
    typeof err === 'object' && err !== null && 'message' in err ? [String(err.message)] : []
  const from = area === undefined ? '' : ` ${String(area)}:`
  const words = [`${clock} ${String(level)}${from}`, String(msg ?? ''), ...error, ...rest]
  // Control characters may come from strangers, and one entry is one line.
  return `${words.join(' ').replaceAll(/\p{Cc}+/gu, ' ')}\n`
}

function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /[\s"]/.test(text) && typeof value === 'string' ? JSON.stringify(value) : text
}

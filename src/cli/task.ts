// Glue between commander and the commands: what an action gets, and how help shows examples.
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { GlobalOptions } from './session.ts'
import { Session } from './session.ts'

/** Ends the command with this exit status although nothing was thrown. */
export class ExitStatus {
  readonly status: number
  constructor(status: number) {
    this.status = status
  }
}

const interruption = new AbortController()

/** Aborts the running command: what Ctrl-C does. */
export function interrupt(): void {
  interruption.abort()
}

export const interrupted = () => interruption.signal.aborted

/** Wraps a command's work: it gets a session, then what commander passes (arguments, options). */
export function task<Args extends unknown[]>(
  work: (session: Session, ...args: Args) => Promise<void>,
): (...args: [...Args, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command
    const args = all.slice(0, -1) as unknown as Args
    const globals: GlobalOptions = command.optsWithGlobals()
    await work(new Session(globals, pathOf(command), interruption.signal), ...args)
  }
}

/** The text below a command's help. */
export function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

/** For options that may be given several times. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** A whole number of at least 1. */
export function positive(value: string): number {
  const number = Number(value)
  if (Number.isSafeInteger(number) && number > 0) return number
  throw new InvalidArgumentError('It must be a whole number of at least 1.')
}

export function publicKey(value: string): string {
  if (/^[0-9a-f]{64}$/.test(value)) return value
  throw new InvalidArgumentError('A public key is 64 lower-case hex digits.')
}

export function publicKeys(value: string, before: string[] = []): string[] {
  return [...before, publicKey(value)]
}

function pathOf(command: Command): string {
  const parent = command.parent
  return parent?.parent ? `${pathOf(parent)} ${command.name()}` : command.name()
}

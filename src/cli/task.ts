// Glue between commander and the commands: what an action gets, and how help shows examples.
import { Argument, InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { GonkError } from '../core/errors.ts'
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
    refuseEmpty(command)
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

/** The argument of most commands. `tag`: DATASET@TAG is understood too. */
export function datasetArgument({ tag = false } = {}): Argument {
  const text = `name, id or unique prefix${tag ? '; DATASET@TAG for a release' : ''}`
  return new Argument('<dataset>', text).argParser((value) => {
    if (tag || !value.includes('@')) return value
    throw new InvalidArgumentError('This command takes a dataset without @TAG.')
  })
}

/** A whole number of at least 1; what is too large to count to means no limit. */
export function positive(value: string): number {
  if (/^\d+$/.test(value) && Number(value) > 0)
    return Math.min(Number(value), Number.MAX_SAFE_INTEGER)
  throw new InvalidArgumentError('It must be a whole number of at least 1.')
}

export function publicKey(value: string): string {
  if (/^[0-9a-f]{64}$/.test(value)) return value
  throw new InvalidArgumentError(
    'A public key is 64 lower-case hex digits: `status` shows that of a node, `users list` that of a user.',
  )
}

export function publicKeys(value: string, before: string[] = []): string[] {
  return [...before, publicKey(value)]
}

/** An empty argument is an unset variable of a script: never the current folder, never a prefix of all. */
function refuseEmpty(command: Command): void {
  const isEmpty = (value: unknown) => value === ''
  command.registeredArguments.forEach((argument, i) => {
    // A setting may be empty.
    if (argument.name() === 'value') return
    const value: unknown = command.processedArgs[i]
    if (!isEmpty(value) && !(Array.isArray(value) && value.some(isEmpty))) return
    throw new GonkError('USAGE', `argument '${argument.name()}' is empty`, {
      hint: `see \`gonk-node help ${pathOf(command)}\``,
    })
  })
}

export function pathOf(command: Command): string {
  const parent = command.parent
  return parent?.parent ? `${pathOf(parent)} ${command.name()}` : command.name()
}

// The command line as one function: parses arguments, runs one command, and turns its outcome into
// an exit status.
import { Command, CommanderError, Option } from 'commander'
import type { LogLevel } from '../config.ts'
import { GonkError } from '../core/errors.ts'
import { addAnnotate } from './annotate.ts'
import { addAnnotations } from './annotation.ts'
import { addBackup } from './backup.ts'
import { addCheckpoint } from './checkpoint.ts'
import { addConfig } from './config.ts'
import { addDataset } from './dataset.ts'
import { addHistory } from './history.ts'
import { addImport } from './import.ts'
import { addInit } from './init.ts'
import { addObjects } from './objects.ts'
import { Output } from './output.ts'
import { addOwner } from './owner.ts'
import { addPolicy } from './policy.ts'
import { addRelease } from './release.ts'
import { addRepair } from './repair.ts'
import { addReview } from './review.ts'
import { addSchemas } from './schema.ts'
import { addStart } from './start.ts'
import { addStatus } from './status.ts'
import { ExitStatus, examples, interrupted, pathOf } from './task.ts'
import { addTransfer } from './transfer.ts'
import { addUsers } from './users.ts'

/** Exit statuses of the command line. */
export const status = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const

/** config.ts has them too, but is slow to import, and help must be fast. */
const logLevels: LogLevel[] = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace']

function buildProgram(json: boolean): Command {
  const program = new Command('gonk-node')
    .description('Peer-to-peer replicated, signed and versioned datasets of files and annotations')
    .option('--home <dir>', 'the home of the node (default: GONK_HOME, else ~/.gonk)')
    .option('--json', 'print one JSON document (a command that streams: one a line)')
    .option('--quiet', 'no progress, notes and logs on stderr')
    .addOption(new Option('--log-level <level>', 'how much is logged').choices(logLevels))
    .option('-V, --version', 'the same as the command version')
    .configureHelp({ showGlobalOptions: true })
    // Failures are printed by `run`. With --json, help that nobody asked for is one of them.
    .configureOutput({
      outputError: () => undefined,
      ...(json ? { writeErr: () => undefined } : {}),
    })
    .exitOverride()
    .helpCommand('help [command...]', 'help for a command, with examples')
    .addHelpText(
      'after',
      examples([
        'gonk-node start                                run a node',
        'gonk-node dataset create cells                 make a dataset',
        'gonk-node add cells ./images --accept          put a folder into it',
        'gonk-node root cells                           its root CID',
        'gonk-node clone ROOT --peer MULTIADDR          fetch it on another machine',
        'gonk-node help add                             more about one command',
      ]),
    )
  const families = [
    [addInit, addStart, addStatus],
    [addDataset, addObjects, addSchemas, addAnnotate, addAnnotations, addReview],
    [addOwner, addPolicy, addCheckpoint],
    [addHistory, addRelease, addTransfer, addRepair, addBackup, addImport, addUsers, addConfig],
  ]
  for (const add of families.flat()) add(program)
  return program
}

/** Runs one command line (without `node` and the script). @returns the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json')
  const output = new Output({ json, quiet: argv.includes('--quiet') })
  const program = buildProgram(json)
  try {
    await program.parseAsync(expanded(program, argv), { from: 'user' })
    return status.done
  } catch (error) {
    output.clearBar()
    if (error instanceof ExitStatus) return error.status
    if (error instanceof CommanderError && error.exitCode === 0) return status.done
    if (isHelp(error) && !json) return status.usage
    const failure = failureOf(error, commandOf(program, argv))
    output.error(failure)
    await showStack(error)
    if (interrupted()) return status.interrupted
    return failure.code === 'USAGE' || failure.code === 'CONFIG' ? status.usage : status.failed
  }
}

/** `help A B` is `A B --help`, for commands of any depth; `--version` is the command `version`. */
function expanded(program: Command, argv: readonly string[]): string[] {
  const at = argv.findIndex((word, i) => !word.startsWith('-') && !takesValue(argv[i - 1]))
  if (at === -1) return argv.map((word) => (/^(-V|--version)$/.test(word) ? 'version' : word))
  if (argv[at] !== 'help') return [...argv]
  const path = argv.slice(at + 1)
  const words = path.filter((word) => !word.startsWith('-'))
  const command = commandOf(program, words)
  if (words.length > 0 && nameOf(command) !== `gonk-node ${words.join(' ')}`) {
    throw new GonkError('USAGE', `there is no command ${words.join(' ')}`, {
      hint: 'see `gonk-node help`',
    })
  }
  return [...path, '--help']
}

const takesValue = (option: string | undefined) => /^--(home|log-level)$/.test(option ?? '')

/** The command that `argv` names, as deep as its words go. */
function commandOf(program: Command, argv: readonly string[]): Command {
  let command: Command = program
  for (const word of argv) {
    command = command.commands.find((candidate) => candidate.name() === word) ?? command
  }
  return command
}

const nameOf = (command: Command) =>
  command.parent === null ? 'gonk-node' : `gonk-node ${pathOf(command)}`

const isHelp = (error: unknown) =>
  error instanceof CommanderError && error.code === 'commander.help'

function failureOf(error: unknown, command: Command): GonkError {
  if (error instanceof GonkError) return error
  if (error instanceof CommanderError) {
    const help = `see \`${nameOf(command).replace('gonk-node', 'gonk-node help')}\``
    if (isHelp(error)) {
      return new GonkError('USAGE', `${nameOf(command)} needs a command`, { hint: help })
    }
    const [message = '', ...suggestion] = error.message.replace(/^error: /, '').split('\n')
    const hint = suggestion.join(' ').replace(/^\(Did (.*)\)$/, 'did $1')
    return new GonkError('USAGE', message.replace(/\.$/, ''), { hint: hint || help })
  }
  if (interrupted()) return new GonkError('CANCELLED', 'interrupted')
  return new GonkError('INTERNAL', error instanceof Error ? error.message : String(error))
}

async function showStack(error: unknown): Promise<void> {
  // Imported here because it is slow, and help must be fast.
  const { environment } = await import('../config.ts')
  if (environment().debug) process.stderr.write(`${stackOf(error)}\n`)
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined
    ? `${error.stack}`
    : `${error.stack}\ncaused by ${stackOf(error.cause)}`
}

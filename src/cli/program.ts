// The command line as one function: parses arguments, runs one command, and turns its outcome into
// an exit status.
import { Command, CommanderError } from 'commander'
import { GonkError } from '../core/errors.ts'
import { addConfig } from './config.ts'
import { addDataset } from './dataset.ts'
import { addHistory } from './history.ts'
import { addInit } from './init.ts'
import { addObjects } from './objects.ts'
import { Output } from './output.ts'
import { addOwner } from './owner.ts'
import { addRelease } from './release.ts'
import { addReview } from './review.ts'
import { addStart } from './start.ts'
import { addStatus } from './status.ts'
import { ExitStatus, examples, interrupted } from './task.ts'
import { addTransfer } from './transfer.ts'

/** Exit statuses of the command line. */
export const status = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const

function buildProgram(): Command {
  const program = new Command('gonk-node')
    .description('Peer-to-peer replicated, signed and versioned datasets of files and annotations')
    .option('--home <dir>', 'the home of the node (default: GONK_HOME, else ~/.gonk)')
    .option('--json', 'print one JSON document (a command that streams: one a line)')
    .option('--quiet', 'no progress, notes and logs on stderr')
    .option('--log-level <level>', 'silent, fatal, error, warn, info, debug or trace')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined })
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
    [addDataset, addObjects, addReview, addOwner],
    [addHistory, addRelease, addTransfer, addConfig],
  ]
  for (const add of families.flat()) add(program)
  return program
}

/** Runs one command line (without `node` and the script). @returns the exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  const program = buildProgram()
  const output = new Output({ json: argv.includes('--json'), quiet: argv.includes('--quiet') })
  try {
    await program.parseAsync(helpArguments(program, argv), { from: 'user' })
    return status.done
  } catch (error) {
    output.clearBar()
    if (error instanceof ExitStatus) return error.status
    if (error instanceof CommanderError && error.exitCode === 0) return status.done
    if (error instanceof CommanderError && error.code === 'commander.help') return status.usage
    const failure = failureOf(error)
    output.error(failure)
    await showStack(error)
    if (interrupted()) return status.interrupted
    return failure.code === 'USAGE' || failure.code === 'CONFIG' ? status.usage : status.failed
  }
}

/** `help A B` is `A B --help`, for commands of any depth. */
function helpArguments(program: Command, argv: readonly string[]): string[] {
  const [first, ...path] = argv
  if (first !== 'help') return [...argv]
  let command: Command = program
  for (const name of path.filter((word) => !word.startsWith('-'))) {
    const next = command.commands.find((candidate) => candidate.name() === name)
    if (next === undefined) {
      throw new GonkError('USAGE', `there is no command ${path.join(' ')}`, {
        hint: 'see gonk-node help',
      })
    }
    command = next
  }
  return [...path, '--help']
}

function failureOf(error: unknown): GonkError {
  if (error instanceof GonkError) return error
  if (error instanceof CommanderError) {
    const [message = '', ...suggestion] = error.message.replace(/^error: /, '').split('\n')
    const hint = suggestion.join(' ').replace(/^\((.*)\)$/, '$1')
    return new GonkError('USAGE', message, { hint: hint || 'see gonk-node help' })
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

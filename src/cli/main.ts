// The process of a command: its signals, its output, its end.
import { run, status } from './program.ts'
import { interrupt } from './task.ts'

/** One Ctrl-C may arrive twice: from the terminal, and again from npx or the launcher. */
const SAME_SIGNAL_MS = 250

/** The first signal interrupts, a later second one ends the process at once. */
function watchSignals(): void {
  let firstAtMs: number | undefined
  const onSignal = (): void => {
    if (firstAtMs === undefined) {
      firstAtMs = Date.now()
      interrupt()
    } else if (Date.now() - firstAtMs > SAME_SIGNAL_MS) process.exit(status.interrupted)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  // The launcher of an older Node is our parent: when it is killed, we go too.
  if (process.channel) process.once('disconnect', onSignal)
}

function outputFailed(error: NodeJS.ErrnoException): never {
  // The reader of our output has left (`| head`): nobody wants the rest.
  if (error.code === 'EPIPE') process.exit(status.done)
  const todo = 'check where the output goes'
  process.stderr.write(`gonk-node: DISK: cannot write the output: ${error.message}; ${todo}\n`)
  process.exit(status.failed)
}

watchSignals()
process.stdout.on('error', outputFailed)
// Nowhere to complain: what is done still counts.
process.stderr.on('error', () => undefined)
const exitStatus = await run(process.argv.slice(2))
// Not left to the event loop: a kept-alive connection may hold it open. Output comes first.
process.stdout.write('', (error) => {
  if (error) outputFailed(error)
  process.exit(exitStatus)
})

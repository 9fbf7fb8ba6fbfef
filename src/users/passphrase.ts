// Where a passphrase comes from: a file, or somebody at the terminal.
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { GonkError } from '../core/errors.ts'
import type { AbortOptions } from '../ports.ts'

const PASSPHRASE_BYTES_MAX = 4_096

/** From the file that the config names; undefined when it names none. Throws CONFIG. */
export async function passphraseOf({
  passphraseFile,
}: {
  readonly passphraseFile: string
}): Promise<string | undefined> {
  return passphraseFile === '' ? undefined : readPassphraseFile(passphraseFile)
}

/** The text of a file without the line break at its end. Throws CONFIG, naming the file. */
export async function readPassphraseFile(path: string): Promise<string> {
  const text = await startOf(path).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : error
    throw badFile(path, `cannot be read (${String(code)})`)
  })
  if (text.length > PASSPHRASE_BYTES_MAX) {
    throw badFile(path, `has more than ${PASSPHRASE_BYTES_MAX} bytes`)
  }
  const passphrase = text.toString().replace(/\r?\n$/, '')
  if (passphrase === '') throw badFile(path, 'is empty')
  return passphrase
}

export interface Terminal {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
  /** What Ctrl-C does; it must abort the signal. A terminal that shows nothing sends it as a letter. */
  readonly interrupt: () => void
}

/**
 * Asks, without showing what is typed. An empty line is undefined: go on without. Throws CANCELLED
 * for the signal and Ctrl-D.
 */
export async function askPassphrase(
  { input, output, interrupt }: Terminal,
  question: string,
  { signal }: AbortOptions = {},
): Promise<string | undefined> {
  const cancelled = () => new GonkError('CANCELLED', 'no passphrase was given')
  if (signal?.aborted) throw cancelled()
  // Readline edits the line and echoes it: into nothing.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const cancel = () => reject(cancelled())
  output.write(question)
  lines.on('line', resolve).on('SIGINT', interrupt).on('close', cancel)
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    return (await promise) || undefined
  } finally {
    signal?.removeEventListener('abort', cancel)
    lines.close()
    output.write('\n')
  }
}

/** As many bytes of a file as tell whether there are too many. It may be a pipe. */
async function startOf(path: string): Promise<Buffer> {
  await using file = await open(path, 'r')
  const parts: Buffer[] = []
  let count = 0
  while (count <= PASSPHRASE_BYTES_MAX) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(PASSPHRASE_BYTES_MAX + 1), 0)
    if (bytesRead === 0) break
    parts.push(buffer.subarray(0, bytesRead))
    count += bytesRead
  }
  return Buffer.concat(parts)
}

function badFile(path: string, what: string): GonkError {
  return new GonkError('CONFIG', `the passphrase file ${path} ${what}`, {
    hint: 'GONK_PASSPHRASE_FILE (setting passphraseFile) names a file with the passphrase in it',
  })
}

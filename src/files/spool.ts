// Bytes that come in at their sender's pace: whole before anything is made of them, gone after.
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import path from 'node:path'
import { GonkError } from '../core/errors.ts'
import type { AbortOptions } from '../ports.ts'
import { throwIfAborted } from './concurrent.ts'
import { onDisk } from './disk-error.ts'
import type { Room } from './disk-space.ts'
import { CHUNK_BYTES } from './file-store.ts'

/** All the bytes there were. Dispose of it when they were read. */
export interface Spooled extends AsyncDisposable {
  readonly sizeBytes: number
  read(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

/** More than this is on disk. Pieces may be of one byte each, so they are joined here. */
const MEMORY_BYTES = CHUNK_BYTES
const FIRST_BYTES = 64 * 1024

/**
 * Takes in the whole of `source`: up to 1 MiB in memory, more in a file under `directory`, which is
 * made when it is not there. Nothing is left of what ends early. It grows in `room`, where it needs some.
 * Throws DISK, CANCELLED, and what `source` throws: CANCELLED unless that is a GonkError.
 */
export async function spool(
  source: AsyncIterable<Uint8Array>,
  directory: string,
  { signal, room }: AbortOptions & { readonly room?: Pick<Room, 'grow'> } = {},
): Promise<Spooled> {
  await using stack = new AsyncDisposableStack()
  const spooling = new Spool(directory, room)
  stack.use(spooling)
  for await (const bytes of withCode(source)) {
    throwIfAborted(signal)
    await spooling.write(bytes)
  }
  throwIfAborted(signal)
  await spooling.end()
  stack.move()
  return spooling
}

class Spool implements Spooled {
  sizeBytes = 0
  readonly #directory: string
  readonly #path: string
  readonly #room: Pick<Room, 'grow'> | undefined
  #file: FileHandle | undefined
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #buffered = 0

  constructor(directory: string, room: Pick<Room, 'grow'> | undefined) {
    this.#directory = directory
    this.#room = room
    this.#path = path.join(directory, `upload-${randomUUID()}`)
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length;) {
      if (this.#buffered === MEMORY_BYTES) await this.#flush()
      const piece = bytes.subarray(from, from + MEMORY_BYTES - this.#buffered)
      this.#makeRoom(this.#buffered + piece.length)
      this.#buffer.set(piece, this.#buffered)
      this.#buffered += piece.length
      from += piece.length
    }
    this.sizeBytes += bytes.length
  }

  async end(): Promise<void> {
    if (this.#file === undefined) return this.#room?.grow(this.#buffered)
    await this.#flush()
    this.#buffer = Buffer.alloc(0)
  }

  read(): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
    if (this.#file === undefined) return [this.#buffer.subarray(0, this.#buffered)]
    return this.#file.createReadStream({ start: 0, autoClose: false, highWaterMark: CHUNK_BYTES })
  }

  #makeRoom(bytes: number): void {
    if (bytes <= this.#buffer.length) return
    const size = Math.min(MEMORY_BYTES, Math.max(bytes, 2 * this.#buffer.length))
    const larger = Buffer.allocUnsafeSlow(size)
    larger.set(this.#buffer.subarray(0, this.#buffered))
    this.#buffer = larger
  }

  async #flush(): Promise<void> {
    const end = this.#buffered
    await this.#room?.grow(end)
    const file = (this.#file ??= await this.#create())
    for (let from = 0; from < end;) {
      const { bytesWritten } = await onDisk(file.write(this.#buffer, from, end - from), this.#path)
      from += bytesWritten
    }
    this.#buffered = 0
  }

  async #create(): Promise<FileHandle> {
    await onDisk(mkdir(this.#directory, { recursive: true }), this.#directory)
    return onDisk(open(this.#path, 'wx+', 0o600), this.#path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#file === undefined) return
    await this.#file.close()
    await rm(this.#path, { force: true })
  }
}

/** A sender that breaks off is no bug. */
async function* withCode(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* source
  } catch (error) {
    if (error instanceof GonkError) throw error
    throw new GonkError('CANCELLED', 'the bytes broke off before their end', { cause: error })
  }
}

// Local files into the file store: several small ones at a time, a large one alone.
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { GonkError } from '../core/errors.ts'
import type { AbortOptions, FileStore, StoredFile } from '../ports.ts'
import { mapInOrder } from './concurrent.ts'
import { diskError } from './disk-error.ts'
import { CHUNK_BYTES } from './file-store.ts'
import type { LocalFile } from './folder.ts'

/** What became of a local file: `cid` and `sizeBytes` are of the bytes that were read. */
export interface IngestedFile extends LocalFile, StoredFile {}

export interface IngestOptions extends AbortOptions {
  /** Files at once; default 8. */
  readonly concurrency?: number
}

/** Bytes of files being read at once; a file of at least this size is read alone. */
const BYTES_AT_ONCE = 16 * CHUNK_BYTES
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW

/** Stores every file and yields what it became, in the order given. Throws DISK naming the file. */
export function ingest(
  files: AsyncIterable<LocalFile> | Iterable<LocalFile>,
  store: FileStore,
  { concurrency = 8, signal }: IngestOptions = {},
): AsyncIterable<IngestedFile> {
  return mapInOrder(
    files,
    async (file, signal) => ({ ...file, ...(await storeFile(file, store, { signal })) }),
    { count: concurrency, costOf: (file) => file.sizeBytes, budget: BYTES_AT_ONCE, signal },
  )
}

async function storeFile(
  file: LocalFile,
  store: FileStore,
  options: AbortOptions,
): Promise<StoredFile> {
  if (file.sizeBytes <= CHUNK_BYTES) {
    const bytes = await readWhole(file)
    if (bytes !== undefined) return store.put([bytes], options)
  }
  return store.put(readStream(file), options)
}

/** @returns undefined when the file has grown since it was looked at. */
async function readWhole(file: LocalFile): Promise<Uint8Array | undefined> {
  let handle: FileHandle | undefined
  try {
    handle = await open(file.path, READ_FLAGS)
    const bytes = Buffer.allocUnsafeSlow(file.sizeBytes + 1)
    let length = 0
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length)
      length += bytesRead
      // A read cut short just where the file was said to end has seen its end.
      if (bytesRead === 0 || length === file.sizeBytes) return bytes.subarray(0, length)
    }
    return undefined
  } catch (error) {
    throw diskError(error, file.path)
  } finally {
    await handle?.close()
  }
}

async function* readStream(file: LocalFile): AsyncGenerator<Uint8Array> {
  try {
    const handle = await open(file.path, READ_FLAGS)
    yield* handle.createReadStream({ highWaterMark: CHUNK_BYTES })
  } catch (error) {
    throw error instanceof GonkError ? error : diskError(error, file.path)
  }
}

// The bytes of objects and annotations in Gonk's depot, checked as they are read.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { GonkError } from '../../core/errors.ts'
import type { GonkFolder } from './folder.ts'

/** What an event says of the bytes it stands for. */
export interface GonkBlob {
  readonly uuid: string
  readonly version: number
  readonly size: number
  /** SHA-256 in hex, of either case. */
  readonly hash: string
}

const CHUNK_BYTES = 1024 * 1024

const partsOf = ({ uuid, version }: GonkBlob): string[] => {
  const [a, b, c] = uuid as unknown as [string, string, string]
  return ['depot', a, b, c, `${uuid}.${version}`]
}

/** Bytes that are still being written have another name and do not count. */
export async function hasBlob(folder: GonkFolder, blob: GonkBlob): Promise<boolean> {
  const handle = await folder.open(...partsOf(blob))
  await handle?.close()
  return handle !== undefined
}

/** Throws NOT_HERE, DISK, and BAD_BLOCK for more, fewer or other bytes than `blob` says. */
export async function* readBlob(folder: GonkFolder, blob: GonkBlob): AsyncGenerator<Uint8Array> {
  const parts = partsOf(blob)
  const path = join(folder.dir, ...parts)
  const handle = await folder.open(...parts)
  if (handle === undefined) {
    throw new GonkError('NOT_HERE', `${path} is missing`, { hint: RESTORE, details: { path } })
  }
  const hash = createHash('sha256')
  let size = 0
  try {
    for (;;) {
      // One byte more than there should be is enough to see that there are more.
      const room = Math.min(CHUNK_BYTES, blob.size - size + 1)
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafeSlow(room))
      if (bytesRead === 0) break
      size += bytesRead
      if (size > blob.size) break
      hash.update(buffer.subarray(0, bytesRead))
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
  if (size !== blob.size) {
    wrong(path, `${size > blob.size ? 'more' : 'fewer'} than the ${blob.size} bytes`)
  }
  if (hash.digest('hex') !== blob.hash.toLowerCase()) wrong(path, 'other bytes than those')
}

const RESTORE = 'restore the file from a copy of the folder, then repeat'

function wrong(path: string, what: string): never {
  const message = `${path} holds ${what} that its event names`
  throw new GonkError('BAD_BLOCK', message, { hint: RESTORE, details: { path } })
}

/** All bytes of a blob that the caller knows to be small. */
export async function readWholeBlob(folder: GonkFolder, blob: GonkBlob): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of readBlob(folder, blob)) chunks.push(chunk)
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks)
}

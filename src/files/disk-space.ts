// Room on the disk: what comes in is refused while there is still some left, for the database lives
// on the same disk.
import { statfs } from 'node:fs/promises'
import { GonkError } from '../core/errors.ts'
import { onDisk } from './disk-error.ts'

export interface DiskSpaceOptions {
  /** Bytes that stay free. */
  readonly reserveBytes: number
  /** Bytes that are free now. @default as the file system says */
  readonly freeBytes?: () => Promise<number>
}

/** The room that one thing takes while it comes in. Dispose of it when that is stored, or not. */
export interface Room extends Disposable {
  /** Throws DISK unless so many bytes more may be written. */
  grow(bytes: number): Promise<void>
}

export class DiskSpace {
  readonly #reserveBytes: number
  readonly #freeBytes: () => Promise<number>
  /** Of all that is on its way. */
  #coming = 0

  /** @param directory on the disk in question; must exist when it is asked for */
  constructor(directory: string, { reserveBytes, freeBytes }: DiskSpaceOptions) {
    this.#reserveBytes = reserveBytes
    this.#freeBytes = freeBytes ?? (() => freeBytesOf(directory))
  }

  /** Room for nothing yet; what grows in it is written twice: as it comes, and where it stays. */
  room(): Room {
    let own = 0
    return {
      grow: async (bytes) => {
        own += bytes
        this.#coming += bytes
        const left = (await this.#freeBytes()) - bytes - this.#coming
        if (left >= this.#reserveBytes) return
        throw new GonkError('DISK', 'the disk of this node is nearly full', {
          hint: 'make room on it, or lower diskReserveBytes',
          details: { reserveBytes: this.#reserveBytes },
        })
      },
      [Symbol.dispose]: () => {
        this.#coming -= own
        own = 0
      },
    }
  }
}

/** Bytes that may still be written where a directory is. Throws DISK. */
export async function freeBytesOf(directory: string): Promise<number> {
  const { bavail, bsize } = await onDisk(statfs(directory), directory)
  return bavail * bsize
}

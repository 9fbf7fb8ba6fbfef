// How much may come in: uploads at a time, room on the disk for them, and what is stored for proposals
// to come. One for a node, whoever asks.
import type { CID } from 'multiformats/cid'
import { GonkError } from '../../core/errors.ts'
import type { PublicKey } from '../../core/ids.ts'
import type { DiskSpace, Room } from '../../files/disk-space.ts'
import type { HeldFiles } from '../../log/held-files.ts'
import type { Clock } from '../../ports.ts'

export interface IncomingNeeds {
  readonly held: HeldFiles
  readonly clock: Clock
  readonly space: DiskSpace
}

export interface IncomingOptions {
  /** Content that no proposal names yet, of all users together. */
  readonly storedBytesMax: number
  /** Uploads at a time, of one user and of all. */
  readonly userUploadsMax?: number
  readonly uploadsMax?: number
}

/** How long content waits for a proposal. */
const KEPT_MS = 24 * 3_600_000
/** The least that one piece of content counts: it takes rows and a file, too. */
const STORED_BYTES_MIN = 4_096
/** What has expired since is found out by counting again, this often at most. */
const RECOUNT_MS = 10_000

export class Incoming {
  readonly #needs: IncomingNeeds
  readonly #options: Required<IncomingOptions>
  readonly #uploads = new Map<PublicKey, number>()
  #uploadsOfAll = 0
  #stored: Promise<number> | undefined
  #countedAtMs = 0
  /** Of content that is being stored. */
  #coming = 0

  constructor(needs: IncomingNeeds, options: IncomingOptions) {
    this.#needs = needs
    this.#options = { userUploadsMax: 16, uploadsMax: 32, ...options }
  }

  /**
   * Begins an upload of a user; dispose of it when that has ended.
   * Throws TOO_MANY, and DISK where there is no room for any.
   */
  async begin(user: PublicKey): Promise<Room> {
    const { userUploadsMax, uploadsMax } = this.#options
    const own = this.#uploads.get(user) ?? 0
    if (own >= userUploadsMax || this.#uploadsOfAll >= uploadsMax) {
      const whose = own >= userUploadsMax ? `${own} of yours` : `${this.#uploadsOfAll}`
      throw new GonkError('TOO_MANY', `${whose} uploads are under way already`, {
        hint: 'wait until one of them has ended',
      })
    }
    const room = this.#needs.space.room()
    let isOpen = true
    const end = () => {
      if (!isOpen) return
      isOpen = false
      room[Symbol.dispose]()
      this.#count(user, -1)
    }
    this.#count(user, 1)
    try {
      await room.grow(0)
    } catch (error) {
      end()
      throw error
    }
    return { grow: (bytes) => room.grow(bytes), [Symbol.dispose]: end }
  }

  #count(user: PublicKey, more: 1 | -1): void {
    this.#uploadsOfAll += more
    const count = (this.#uploads.get(user) ?? 0) + more
    if (count === 0) this.#uploads.delete(user)
    else this.#uploads.set(user, count)
  }

  /**
   * Stores content for a proposal to come, by `put`, and keeps it for a day. Throws TOO_MANY where too
   * much waits already, and what `put` throws.
   */
  async keep(sizeBytes: number, put: () => Promise<CID>): Promise<CID> {
    const { held, clock } = this.#needs
    const bytes = Math.max(sizeBytes, STORED_BYTES_MIN)
    const { storedBytesMax } = this.#options
    if ((await this.#storedBytes(bytes)) + this.#coming + bytes > storedBytesMax) {
      throw new GonkError('TOO_MANY', 'too much stored content waits for proposals here', {
        hint: 'propose what is stored, upload with a name instead, or try again tomorrow',
        details: { storedBytesMax },
      })
    }
    this.#coming += bytes
    try {
      const cid = await put()
      const isNew = (await held.waitingBytes([cid.bytes])) === 0
      await held.write([held.keepUntil(cid.bytes, clock.nowMs() + KEPT_MS, bytes)])
      if (isNew) this.#change(bytes)
      return cid
    } finally {
      this.#coming -= bytes
    }
  }

  /** What a proposal names waits no more; it is kept as long as before. */
  async proposed(contents: readonly CID[]): Promise<void> {
    if (contents.length === 0 || (await this.#storedBytes(0)) === 0) return
    const { held } = this.#needs
    const files = contents.map(({ bytes }) => bytes)
    const bytes = await held.waitingBytes(files)
    if (bytes === 0) return
    await held.endWaiting(files)
    this.#change(-bytes)
  }

  #change(bytes: number): void {
    this.#stored = this.#stored?.then((stored) => Math.max(0, stored + bytes))
  }

  /** Counted at first, and again where `more` would not fit. */
  async #storedBytes(more: number): Promise<number> {
    const stored = await (this.#stored ??= this.#storedNow())
    const isEnough = stored + this.#coming + more <= this.#options.storedBytesMax
    if (isEnough || this.#needs.clock.nowMs() - this.#countedAtMs < RECOUNT_MS) return stored
    return (this.#stored = this.#storedNow())
  }

  async #storedNow(): Promise<number> {
    const { held, clock } = this.#needs
    this.#countedAtMs = clock.nowMs()
    return held.allWaitingBytes(this.#countedAtMs)
  }
}

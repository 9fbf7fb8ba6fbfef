// JSON bodies under way: how many bytes of them are read and worked on at one time, for all and for
// each user. What JSON becomes in memory is several times its bytes.
import { GonkError } from '../core/errors.ts'

export interface JsonBudgetOptions {
  /** Of all bodies together. */
  readonly bytesMax: number
  /** Of one user. */
  readonly shareBytesMax: number
  /** Requests that wait for their turn, of all and of one user. */
  readonly waitingMax: number
  readonly waitingShareMax: number
  /** How long one waits. */
  readonly waitMs: number
}

const MiB = 1024 * 1024
const defaults: JsonBudgetOptions = {
  bytesMax: 64 * MiB,
  shareBytesMax: 32 * MiB,
  waitingMax: 128,
  waitingShareMax: 32,
  waitMs: 10_000,
}

/** What everyday requests have: they go first, and large ones leave them a part of the room. */
const SMALL_BYTES = 64 * 1024
const LARGE_PART = 15 / 16

interface Turn {
  readonly id: string
  readonly bytes: number
  readonly begin: () => void
}

export class JsonBudget {
  readonly #options: JsonBudgetOptions
  readonly #used = new Map<string, number>()
  #total = 0
  /** Small ones first, then in the order of their coming. */
  #waiting: Turn[] = []

  constructor(options: Partial<JsonBudgetOptions> = {}) {
    this.#options = { ...defaults, ...options }
  }

  /**
   * Waits until `bytes` more of the user `id` fit. Throws TOO_MANY when too many wait already or it takes
   * too long, CANCELLED on `signal`.
   * @returns how to give them back; more than once does nothing.
   */
  async take(id: string, bytes: number, signal?: AbortSignal): Promise<() => void> {
    // What is larger than its share has all of it.
    const most = Math.floor(this.#options.shareBytesMax * LARGE_PART)
    const size = Math.min(bytes, most)
    if (this.#fits(id, size)) this.#add(id, size)
    else await this.#turn(id, size, signal)
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#add(id, -size)
      this.#next()
    }
  }

  #fits(id: string, bytes: number): boolean {
    const { bytesMax, shareBytesMax } = this.#options
    const part = bytes <= SMALL_BYTES ? 1 : LARGE_PART
    const own = this.#used.get(id) ?? 0
    return this.#total + bytes <= bytesMax * part && own + bytes <= shareBytesMax * part
  }

  #add(id: string, bytes: number): void {
    this.#total += bytes
    const own = (this.#used.get(id) ?? 0) + bytes
    if (own > 0) this.#used.set(id, own)
    else this.#used.delete(id)
  }

  async #turn(id: string, bytes: number, signal?: AbortSignal): Promise<void> {
    const { waitingMax, waitingShareMax, waitMs } = this.#options
    const own = this.#waiting.filter((turn) => turn.id === id).length
    if (this.#waiting.length >= waitingMax || own >= waitingShareMax) throw tooMany()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const turn: Turn = { id, bytes, begin: resolve }
    const end = (error: GonkError) => {
      this.#waiting = this.#waiting.filter((other) => other !== turn)
      reject(error)
    }
    const cancel = () => end(new GonkError('CANCELLED', 'the client hung up before its turn'))
    const timer = setTimeout(() => end(tooMany()), waitMs)
    signal?.addEventListener('abort', cancel, { once: true })
    const place = bytes > SMALL_BYTES ? -1 : this.#waiting.findIndex((t) => t.bytes > SMALL_BYTES)
    this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, turn)
    if (signal?.aborted === true) cancel()
    try {
      await promise
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
    }
  }

  /** Whoever waits for others of its own does not hold up the rest. */
  #next(): void {
    for (const turn of [...this.#waiting]) {
      if (!this.#fits(turn.id, turn.bytes)) continue
      this.#waiting = this.#waiting.filter((other) => other !== turn)
      // Before it goes on, so that nobody else takes its place.
      this.#add(turn.id, turn.bytes)
      turn.begin()
    }
  }
}

function tooMany(): GonkError {
  return new GonkError('TOO_MANY', 'too many large requests are under way', {
    hint: 'send fewer at a time, and try again in a moment',
  })
}

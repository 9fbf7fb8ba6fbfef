// How many streams of events are open for whom: each keeps a connection and a place in the node.
import { GonkError } from '../../core/errors.ts'

const STREAMS_MAX = 16

export class Streams {
  readonly #open = new Map<string, number>()

  /** Counts one more for `id` until the function it returns is called. Throws TOO_MANY. */
  open(id: string): () => void {
    const count = (this.#open.get(id) ?? 0) + 1
    if (count > STREAMS_MAX) {
      throw new GonkError('TOO_MANY', `${STREAMS_MAX} streams are open for you already`)
    }
    this.#open.set(id, count)
    let isOpen = true
    return () => {
      if (!isOpen) return
      isOpen = false
      const left = (this.#open.get(id) ?? 1) - 1
      if (left === 0) this.#open.delete(id)
      else this.#open.set(id, left)
    }
  }
}

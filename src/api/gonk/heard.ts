// The events that were stored last, by their arrival: whoever follows a dataset need not read them.
import type { Event } from '../../core/event.ts'

const BYTES_MAX = 4 << 20

export class Heard {
  readonly #events: Event[] = []
  #bytes = 0
  /** Arrival number of the first of them. */
  #start = 0
  #hasBegun = false

  /** Arrival number of what comes next; undefined: nothing came yet. */
  get end(): number | undefined {
    return this.#hasBegun ? this.#start + this.#events.length : undefined
  }

  /** @param arrival number of the first; the others have the next ones. */
  add(arrival: number, events: readonly Event[]): void {
    const bytes = bytesOf(events)
    if (arrival !== this.end || this.#bytes + bytes > BYTES_MAX) {
      this.#drop(this.#events.length)
      this.#start = arrival
    }
    this.#hasBegun = true
    this.#events.push(...events)
    this.#bytes += bytes
    if (this.#bytes > BYTES_MAX) this.#drop(this.#events.length)
  }

  /**
   * Those from a number on, and forgets what came before them; none where they are not remembered.
   */
  from(arrival: number, limit: number): readonly Event[] {
    const told = arrival - this.#start
    if (told < 0 || told > this.#events.length) return []
    this.#drop(told)
    return this.#events.slice(0, limit)
  }

  #drop(count: number): void {
    this.#bytes -= bytesOf(this.#events.splice(0, count))
    this.#start += count
  }
}

const bytesOf = (events: readonly Event[]): number =>
  events.reduce((sum, { block }) => sum + block.length, 0)

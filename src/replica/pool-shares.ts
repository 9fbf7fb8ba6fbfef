// How much of the pool came from which peer: a bounded number of shares, and one for all others.
import type { PeerId } from '../ports.ts'

/** A peer that forwards events. `isNamed`: by the user, so no key that is free. */
export interface Forwarder {
  readonly peer: PeerId
  readonly isNamed?: boolean
}

export interface Share {
  readonly slot: number
  /** Undefined: of nobody known, or of more peers than there are shares. */
  readonly peer?: PeerId
  readonly bytes: number
}

/** Peer ids are free too: more than so many at a time have one share together. */
const SHARES_MAX = 64
/** So many more for peers that the user named, whatever the others do. */
const NAMED_MAX = 64
const OTHERS = 0

/** A number that is in use stands for one peer, until nothing of that is left. */
export class Shares {
  readonly #shares = new Map<number, Share>()
  readonly #slots = new Map<PeerId, number>()
  #bytes = 0

  constructor(stored: readonly Share[]) {
    for (const share of stored) this.#set(share)
  }

  get bytes(): number {
    return this.#bytes
  }

  list(): Share[] {
    return [...this.#shares.values()]
  }

  of(slot: number): number {
    return this.#shares.get(slot)?.bytes ?? 0
  }

  /** The number of the peer's share, or of the one it would get. */
  slotOf(from: Forwarder | undefined): number {
    if (from === undefined) return OTHERS
    const known = this.#slots.get(from.peer)
    if (known !== undefined) return known
    const last = from.isNamed ? SHARES_MAX + NAMED_MAX : SHARES_MAX
    for (let slot = 1; slot <= last; slot++) if (!this.#shares.has(slot)) return slot
    return OTHERS
  }

  /** @param peer whose share it is from now on, where the number is not in use. */
  add(slot: number, peer: PeerId | undefined, bytes: number): void {
    const share = this.#shares.get(slot) ?? { slot, bytes: 0, ...(peer && slot > 0 && { peer }) }
    this.#set({ ...share, bytes: Math.max(0, share.bytes + bytes) })
  }

  largestBut(slot: number): Share {
    let largest: Share = { slot: OTHERS, bytes: 0 }
    for (const share of this.#shares.values()) {
      if (share.slot !== slot && share.bytes > largest.bytes) largest = share
    }
    return largest
  }

  /** What others take beyond so many bytes each. */
  above(bytes: number, slot: number): number {
    let sum = 0
    for (const share of this.#shares.values()) {
      if (share.slot !== slot) sum += Math.max(0, share.bytes - bytes)
    }
    return sum
  }

  #set(share: Share): void {
    const { slot, peer, bytes } = share
    this.#bytes += bytes - this.of(slot)
    if (bytes > 0) this.#shares.set(slot, share)
    else this.#shares.delete(slot)
    if (peer === undefined) return
    if (bytes > 0) this.#slots.set(peer, slot)
    else this.#slots.delete(peer)
  }
}

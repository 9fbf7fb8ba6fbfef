// Choices made from the bytes of one input, so that mutated bytes become structure.
import { cidBytes } from './seeds.ts'

export class Dice {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isEmpty(): boolean {
    return this.#at >= this.#bytes.length
  }

  flag(): boolean {
    return this.number(0, 1) === 1
  }

  /** Both ends included; the least where the input is at its end. */
  number(min: number, max: number): number {
    const range = max - min + 1
    let value = 0
    for (let covered = 1; covered < range; covered *= 256) {
      value = value * 256 + (this.#bytes[this.#at++] ?? 0)
    }
    return min + (value % range)
  }

  oneOf<T>(values: readonly T[]): T {
    return values[this.number(0, values.length - 1)] as T
  }

  list<T>(min: number, max: number, make: () => T): T[] {
    return Array.from({ length: this.number(min, max) }, make)
  }

  maybe<T>(make: () => T): T | undefined {
    return this.flag() ? make() : undefined
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    bytes.set(this.#bytes.subarray(this.#at, this.#at + length))
    this.#at += length
    return bytes
  }

  text(bytesMax: number): string {
    return new TextDecoder().decode(this.bytes(this.number(0, bytesMax)))
  }

  /** 36 bytes; few of them, so that the same one comes again. */
  cid(codec: 0x71 | 0x55 | 0x70 = 0x71): Uint8Array {
    return cidBytes(codec, this.number(0, 255))
  }

  /** A value of any type that dag-cbor can say, and some it cannot. */
  odd(): unknown {
    const oddities = [null, true, -1, 1.5, 2 ** 53 - 1, 2 ** 64, '', '\ufeff', [], {}, [[]]]
    const choice = this.number(0, oddities.length + 4)
    if (choice < oddities.length) return oddities[choice]
    switch (choice - oddities.length) {
      case 0:
        return this.bytes(this.number(0, 70))
      case 1:
        return this.text(40)
      case 2:
        return this.number(0, 5_000)
      case 3:
        return this.cid(this.oneOf([0x71, 0x55, 0x70]))
      default:
        return this.list(0, 70, () => this.number(0, 3))
    }
  }
}

type Holder = Record<string, unknown> | unknown[]

const isHolder = (value: unknown): value is Holder =>
  typeof value === 'object' && value !== null && !(value instanceof Uint8Array)

/** Breaks one place somewhere in `value`: another value, none, a field too many, the same twice. */
export function damage(value: Holder, dice: Dice): void {
  let holder = value
  for (;;) {
    const keys = Object.keys(holder)
    if (keys.length === 0) return
    const key = dice.oneOf(keys)
    const inner = (holder as Record<string, unknown>)[key]
    if (isHolder(inner) && dice.flag()) {
      holder = inner
      continue
    }
    damageAt(holder, key, dice)
    return
  }
}

function damageAt(holder: Holder, key: string, dice: Dice): void {
  const choice = dice.number(0, 3)
  if (Array.isArray(holder)) {
    if (choice === 0) holder.splice(Number(key), 1)
    else if (choice === 1) holder.push(holder[Number(key)])
    else if (choice === 2) holder.reverse()
    else holder[Number(key)] = dice.odd()
  } else if (choice === 0) delete holder[key]
  else if (choice === 1) holder[dice.text(8)] = dice.odd()
  else holder[key] = dice.odd()
}

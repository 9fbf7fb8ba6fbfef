// What proved too costly to check, remembered for a while, so that asking again costs nothing.
import { hash } from 'node:crypto'

const ENTRIES_MAX = 1_000

export class Costly {
  readonly #untilMs = new Map<string, number>()
  readonly #rememberMs: number

  /** @param rememberMs from when it was met last */
  constructor(rememberMs: number) {
    this.#rememberMs = rememberMs
  }

  /** @param key of the schema's bytes */
  hasSchema(key: string): boolean {
    return this.#has(key)
  }

  addSchema(key: string): void {
    this.#add(key)
  }

  /** Documents are costly under one schema: others check them at no cost. */
  hasDocument(key: string, document: Uint8Array): boolean {
    return this.#has(`${key}/`) && this.#has(`${key}/${hash('sha256', document)}`)
  }

  addDocument(key: string, document: Uint8Array): void {
    // Documents are hashed only where there is one to find.
    this.#add(`${key}/`)
    this.#add(`${key}/${hash('sha256', document)}`)
  }

  #has(entry: string): boolean {
    return (this.#untilMs.get(entry) ?? 0) > performance.now()
  }

  #add(entry: string): void {
    this.#untilMs.delete(entry)
    this.#untilMs.set(entry, performance.now() + this.#rememberMs)
    const [oldest] = this.#untilMs.keys()
    if (this.#untilMs.size > ENTRIES_MAX) this.#untilMs.delete(oldest as string)
  }
}

// So much a second, with a burst: what comes faster is turned away.
export interface RateOptions {
  readonly perSecond: number
  readonly burst: number
}

export class Rate {
  readonly #options: RateOptions
  #left: number
  #atMs = -Infinity

  constructor(options: RateOptions) {
    this.#options = options
    this.#left = options.burst
  }

  /** How many may come now. */
  left(nowMs: number): number {
    const { perSecond, burst } = this.#options
    const gained = (Math.max(0, nowMs - this.#atMs) / 1_000) * perSecond
    this.#left = Math.min(burst, this.#left + gained)
    this.#atMs = nowMs
    return this.#left
  }

  /** @returns whether one more may come; then it counts. */
  take(nowMs: number): boolean {
    const mayCome = this.left(nowMs) >= 1
    if (mayCome) this.#left--
    return mayCome
  }
}

// A rate with a burst: tokens come in steadily, up to a store; what is done costs tokens.
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  readonly #nowMs: () => number
  #tokens: number
  #atMs: number

  constructor(perSecond: number, burst: number, nowMs: () => number = () => performance.now()) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#nowMs = nowMs
    this.#tokens = burst
    this.#atMs = nowMs()
  }

  /** Takes `count` if they are there. */
  take(count: number): boolean {
    this.#refill()
    if (this.#tokens < count) return false
    this.#tokens -= count
    return true
  }

  /** Takes `count` on credit. @returns how long to wait until the credit is paid, in ms */
  spend(count: number): number {
    this.#refill()
    this.#tokens -= count
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000
  }

  #refill(): void {
    const nowMs = this.#nowMs()
    const gained = ((nowMs - this.#atMs) / 1000) * this.#perSecond
    this.#tokens = Math.min(this.#burst, this.#tokens + gained)
    this.#atMs = nowMs
  }
}

// Chance that can be had again from its seed.

export interface Random {
  /** 0 (included) to `below` (not included). */
  integer(below: number): number
}

/** mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  return {
    integer(below) {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
    },
  }
}

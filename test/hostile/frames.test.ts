// Lengths in front of messages, in whatever pieces they come.
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { Frames, withFrames } from '../../src/network/gossip-frames.ts'

const MAX = 1_000

/** As gossip has it: seven bits a byte, the lowest first. */
function prefixOf(length: number): number[] {
  const low = length % 128
  const rest = Math.floor(length / 128)
  return rest === 0 ? [low] : [low | 0x80, ...prefixOf(rest)]
}

const stream = (lengths: readonly number[]) =>
  Uint8Array.from(lengths.flatMap((length) => [...prefixOf(length), ...Array(length).fill(0xff)]))

function* piecesOf(bytes: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  let at = 0
  for (const cut of cuts) {
    yield bytes.subarray(at, Math.min(bytes.length, at + cut))
    at += cut
  }
  yield bytes.subarray(at)
}

const cuts = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 40 })

test('messages that are not too long go through, however they are cut', () => {
  const lengths = fc.array(fc.integer({ min: 0, max: MAX }), { maxLength: 20 })
  fc.assert(
    fc.property(lengths, cuts, (list, at) => {
      const frames = new Frames(MAX)
      const bytes = stream(list)
      for (const piece of piecesOf(bytes, at)) expect(frames.tooLong(piece)).toBeUndefined()
    }),
  )
})

test('pieces in one list are read as they are one by one', () => {
  const lengths = fc.array(fc.integer({ min: 0, max: MAX + 5 }), { maxLength: 20 })
  fc.assert(
    fc.property(lengths, cuts, (list, at) => {
      const [single, listed] = [new Frames(MAX), new Frames(MAX)]
      const pieces = [...piecesOf(stream(list), at)]
      const first = pieces
        .map((piece) => single.tooLong(piece))
        .find((found) => found !== undefined)
      expect(listed.tooLong(pieces)).toBe(first)
    }),
  )
})

test('one that is too long is found out when it is announced, whatever came before', () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 10 })
  const tooLong = fc.integer({ min: MAX + 1, max: 2 ** 40 })
  fc.assert(
    fc.property(lengths, tooLong, cuts, (list, long, at) => {
      const frames = new Frames(MAX)
      const bytes = Uint8Array.from([...stream(list), ...prefixOf(long)])
      const found = [...piecesOf(bytes, at)].map((piece) => frames.tooLong(piece))
      expect(found.filter((length) => length !== undefined).length).toBeGreaterThan(0)
    }),
  )
})

/** With the order of effects of libp2p's streams: `resume` dispatches what has come, and then lets more come. */
class WaitingStream extends EventTarget {
  readonly status = 'open'
  readStatus = 'readable'
  /** Whether the muxer asks for more. */
  flows = true
  resumed = 0
  #waiting: Uint8Array[] = []

  arrives(data: Uint8Array): void {
    if (this.readStatus === 'paused') this.#waiting.push(data)
    else this.dispatchEvent(Object.assign(new Event('message'), { data }))
  }

  pause(): void {
    this.readStatus = 'paused'
    this.flows = false
  }

  resume(): void {
    this.resumed++
    this.readStatus = 'readable'
    for (const data of this.#waiting.splice(0)) this.arrives(data)
    this.flows = true
  }
}

test('a stream that is still to be slowed down when it is read again does not flow on', async () => {
  vi.useFakeTimers()
  try {
    const handlers: ((stream: unknown, connection: unknown) => unknown)[] = []
    const registrar = {
      handle: (_: string, handler: (typeof handlers)[number]) => handlers.push(handler),
    }
    const options = { bytesMax: MAX, onTooLong() {}, delayMs: () => 1_000 }
    const watched = withFrames({ registrar }, options)
    watched.registrar.handle('gossip', () => undefined)
    const slow = new WaitingStream()
    handlers[0]?.(slow, { remotePeer: 'peer' })
    for (const piece of piecesOf(stream([50, 50, 50]), [51, 51])) {
      slow.arrives(piece)
      await Promise.resolve()
    }
    expect(slow.flows).toBe(false)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(slow.resumed).toBe(1)
    // What had come meanwhile was read then, and costs its own pause.
    expect(slow).toMatchObject({ readStatus: 'paused', flows: false })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(slow).toMatchObject({ readStatus: 'readable', flows: true })
  } finally {
    vi.useRealTimers()
  }
})

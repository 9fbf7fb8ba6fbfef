// Watches inbound gossip streams below gossipsub, which takes in whatever comes and remembers each message
// for minutes: reads no faster than a peer's share, and ends streams that announce too long a message.
import type { Connection, Stream } from '@libp2p/interface'

type Handler = (stream: Stream, connection: Connection) => unknown

export interface FramesOptions {
  /** Of one message. */
  readonly bytesMax: number
  readonly onTooLong: (peer: string, bytes: number) => void
  /** For how long not to read on after so many bytes of a peer, in ms. */
  readonly delayMs: (peer: string, bytes: number) => number
}

/** What a peer may send before it is read. */
const WINDOW_BYTES = 256 * 1024
/** Length prefixes of more bytes are longer than any message. */
const PREFIX_BYTES_MAX = 5

/** Messages with their lengths in front, in whatever pieces they come. */
export class Frames {
  readonly #bytesMax: number
  /** Of the message at hand. */
  #left = 0
  #prefix = 0
  #prefixBytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** @returns the length of a message that is too long, once one is announced. */
  tooLong(chunk: Uint8Array | Iterable<Uint8Array>): number | undefined {
    // To index a list of parts takes longer the more parts there are.
    for (const part of chunk instanceof Uint8Array ? [chunk] : chunk) {
      const length = this.#tooLongIn(part)
      if (length !== undefined) return length
    }
    return undefined
  }

  #tooLongIn(bytes: Uint8Array): number | undefined {
    for (let at = 0; at < bytes.length;) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, bytes.length - at)
        this.#left -= skipped
        at += skipped
        continue
      }
      const byte = bytes[at++] as number
      this.#prefix += (byte & 0x7f) * 2 ** (7 * this.#prefixBytes++)
      const isEnd = byte < 0x80
      const isTooLong = this.#prefix > this.#bytesMax
      if (isTooLong || (!isEnd && this.#prefixBytes === PREFIX_BYTES_MAX)) return this.#prefix
      if (!isEnd) continue
      this.#left = this.#prefix
      this.#prefix = 0
      this.#prefixBytes = 0
    }
    return undefined
  }
}

/** What a peer sends meanwhile waits with the peer. */
function slowDown(stream: Stream, ms: number): void {
  if (ms <= 0) return
  const goOn = (): void => {
    if (stream.readStatus === 'paused') stream.resume()
  }
  // Not within `resume`, which dispatches what has come and then lets the muxer go on.
  queueMicrotask(() => {
    if (stream.readStatus !== 'readable') return
    stream.pause()
    setTimeout(goOn, ms).unref()
  })
}

/** The components of a service whose inbound streams carry messages with their lengths in front. */
export function withFrames<T extends { readonly registrar: object }>(
  components: T,
  { bytesMax, onTooLong, delayMs }: FramesOptions,
): T {
  const watched = (handler: Handler): Handler => {
    return (stream, connection) => {
      // What came while it was not read comes in one go: the window of yamux, which must not grow here.
      Reflect.set(stream, 'maxStreamWindowSize', WINDOW_BYTES)
      // Whoever reads it listens from now on: both hear the same.
      const handled = handler(stream, connection)
      const frames = new Frames(bytesMax)
      const peer = connection.remotePeer.toString()
      stream.addEventListener('message', ({ data }) => {
        if (stream.status !== 'open') return
        const length = frames.tooLong(data)
        if (length === undefined) return slowDown(stream, delayMs(peer, data.byteLength))
        stream.abort(new Error('a message is too long'))
        onTooLong(peer, length)
      })
      return handled
    }
  }
  const registrar = new Proxy(components.registrar, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value as (...args: unknown[]) => unknown
      if (name !== 'handle') return method.bind(target)
      return (protocol: unknown, handler: Handler, ...rest: unknown[]) =>
        method.call(target, protocol, watched(handler), ...rest)
    },
  })
  return new Proxy(components, {
    get: (target, name) =>
      name === 'registrar' ? registrar : (Reflect.get(target, name, target) as unknown),
  })
}

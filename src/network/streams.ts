// Reading and writing libp2p streams with real backpressure. libp2p's own iterator and byteStream
// have none for the receiver, and its onDrain() resolves at once after its first use.
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'

/** The other side ended the stream, or the connection died: a killed peer looks just like an end. */
export class StreamEndedError extends Error {
  override readonly name = 'StreamEndedError'
}

/** Nothing, or not enough, arrived in time. */
export class StreamTimeoutError extends Error {
  override readonly name = 'StreamTimeoutError'
}

interface Waiter {
  readonly bytes: number
  wake(): void
}

/**
 * Takes exact numbers of bytes from a stream. While more than `bufferBytesMax` wait here the remote is
 * told to stop, so that one stream holds at most that plus two windows of the muxer.
 */
export class StreamReader {
  readonly #stream: Stream
  readonly #bufferBytesMax: number
  #chunks: Uint8Array[] = []
  /** Bytes of the first chunk that are taken already. */
  #offset = 0
  #bytes = 0
  #ended = false
  #error: Error | undefined
  #waiter: Waiter | undefined
  #resuming = false

  constructor(stream: Stream, bufferBytesMax: number) {
    this.#stream = stream
    this.#bufferBytesMax = bufferBytesMax
    stream.addEventListener('message', this.#onMessage)
    stream.addEventListener('end', this.#onEnd)
    stream.addEventListener('close', this.#onClose)
    this.#ended = stream.readableEnded
  }

  /** Bytes that can be taken without waiting. */
  get available(): number {
    return this.#bytes
  }

  /**
   * A copy of the next `count` bytes.
   * @throws StreamTimeoutError, StreamEndedError, what reset the stream, or the signal's reason
   */
  async read(
    count: number,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#bytes < count) {
      if (!(await this.#wait(count, timeoutMs, signal))) {
        throw new StreamEndedError('the stream ended in the middle of a message')
      }
    }
    return this.#take(count)
  }

  /** As {@link read}, or undefined where the stream ends before the first of the bytes. */
  async readOrEnd(
    count: number,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    if (this.#bytes < count && !(await this.#wait(count, timeoutMs, signal)) && this.#bytes === 0) {
      return undefined
    }
    return this.read(count, timeoutMs, signal)
  }

  /** Stops listening; what waits is dropped. */
  release(): void {
    this.#stream.removeEventListener('message', this.#onMessage)
    this.#stream.removeEventListener('end', this.#onEnd)
    this.#stream.removeEventListener('close', this.#onClose)
    this.#chunks = []
    this.#bytes = 0
  }

  readonly #onMessage = (event: StreamMessageEvent): void => {
    const { data } = event
    if (data instanceof Uint8Array) this.#chunks.push(data)
    else for (const chunk of data) this.#chunks.push(chunk)
    this.#bytes += data.byteLength
    if (!this.#resuming) this.#pauseWhenFull()
    if (this.#waiter !== undefined && this.#bytes >= this.#waiter.bytes) this.#waiter.wake()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#waiter?.wake()
  }

  readonly #onClose = (event: StreamCloseEvent): void => {
    this.#ended = true
    this.#error = event.error
    this.#waiter?.wake()
  }

  #pauseWhenFull(): void {
    const wanted = Math.max(this.#bufferBytesMax, this.#waiter?.bytes ?? 0)
    if (this.#bytes > wanted && this.#stream.readStatus === 'readable') this.#stream.pause()
  }

  /** Lets the remote go on. Pausing inside the resume would leave the muxer's window open. */
  #resume(): void {
    if (this.#stream.readStatus !== 'paused') return
    this.#resuming = true
    try {
      this.#stream.resume()
    } catch (error) {
      this.#error ??= error instanceof Error ? error : new Error(String(error))
    } finally {
      this.#resuming = false
    }
    this.#pauseWhenFull()
  }

  /** @returns whether `count` bytes are here; false: the stream ended before. */
  async #wait(count: number, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    this.#resume()
    if (this.#bytes >= count) return true
    this.#failIfBroken(signal)
    if (this.#atEnd()) return false
    const { promise, resolve } = Promise.withResolvers<'data' | 'timeout'>()
    const timer = setTimeout(() => resolve('timeout'), timeoutMs)
    const wake = (): void => resolve('data')
    this.#waiter = { bytes: count, wake }
    signal?.addEventListener('abort', wake, { once: true })
    try {
      if ((await promise) === 'timeout') {
        throw new StreamTimeoutError(`no answer within ${Math.round(timeoutMs / 1000)} s`)
      }
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
      this.#waiter = undefined
    }
    if (this.#bytes >= count) return true
    this.#failIfBroken(signal)
    return !this.#atEnd() && this.#wait(count, timeoutMs, signal)
  }

  #failIfBroken(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted()
    if (this.#error !== undefined) throw this.#error
  }

  #atEnd(): boolean {
    return this.#ended && this.#stream.readBufferLength === 0
  }

  /** Copied, because a view would keep the muxer's whole frame alive for as long as a block is held. */
  #take(count: number): Uint8Array<ArrayBuffer> {
    const bytes = uninitialised(count)
    let filled = 0
    let used = 0
    while (filled < count) {
      const chunk = this.#chunks[used] as Uint8Array
      const part = Math.min(count - filled, chunk.length - this.#offset)
      bytes.set(chunk.subarray(this.#offset, this.#offset + part), filled)
      filled += part
      this.#offset += part
      if (this.#offset === chunk.length) {
        used++
        this.#offset = 0
      }
    }
    if (used > 0) this.#chunks.splice(0, used)
    this.#bytes -= count
    if (this.#bytes <= this.#bufferBytesMax / 2) this.#resume()
    return bytes
  }
}

/** Every byte is written before anybody sees it, so clearing them first would be a second pass. */
function uninitialised(count: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(count).buffer)
}

/** Bytes that may wait in a stream's own buffer before a writer is held back. */
const WRITE_BUFFER_BYTES = 256 * 1024
/** Larger pieces are cut, so that other streams of the connection get their turn. */
const WRITE_BYTES_MAX = 256 * 1024

/**
 * Writes `bytes`, which must not change afterwards; resolves when there is room for more.
 * @throws StreamTimeoutError when the remote takes nothing for `timeoutMs`
 */
export async function writeBytes(
  stream: Stream,
  bytes: Uint8Array,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset += WRITE_BYTES_MAX) {
    signal?.throwIfAborted()
    stream.send(bytes.subarray(offset, offset + WRITE_BYTES_MAX))
    // One drain is not enough: it also comes when only a part of the buffer has left.
    while (stream.writeBufferLength > WRITE_BUFFER_BYTES) await drained(stream, timeoutMs, signal)
  }
}

async function drained(stream: Stream, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(
    () => reject(new StreamTimeoutError('the peer takes no bytes')),
    timeoutMs,
  )
  const onAbort = (): void => reject(signal?.reason)
  const onClose = (event: StreamCloseEvent): void =>
    reject(event.error ?? new StreamEndedError('the stream was closed'))
  const onRoom = (): void => resolve()
  stream.addEventListener('drain', onRoom)
  stream.addEventListener('idle', onRoom)
  stream.addEventListener('close', onClose)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    if (stream.status !== 'open') throw new StreamEndedError('the stream was closed')
    signal?.throwIfAborted()
    await promise
  } finally {
    clearTimeout(timer)
    stream.removeEventListener('drain', onRoom)
    stream.removeEventListener('idle', onRoom)
    stream.removeEventListener('close', onClose)
    signal?.removeEventListener('abort', onAbort)
  }
}

export function readUint32(bytes: Uint8Array, offset = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset + offset, 4).getUint32(0)
}

/** A message with its length in front: 4 bytes, big-endian. */
export function withLength(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length)
  new DataView(bytes.buffer).setUint32(0, body.length)
  bytes.set(body, 4)
  return bytes
}

/** Ends the writing side in the background; a remote that does not take the end gets a reset. */
export function closeStream(stream: Stream): void {
  stream.close({ signal: AbortSignal.timeout(10_000) }).catch((error: unknown) => {
    stream.abort(error instanceof Error ? error : new Error(String(error)))
  })
}

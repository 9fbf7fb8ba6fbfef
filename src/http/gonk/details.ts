// A version with its bytes as base64 in one JSON document, which is made as the client takes it.
import { Readable } from 'node:stream'

export class Details {
  readonly #fields: object
  readonly #bytes: Uint8Array | AsyncIterable<Uint8Array>

  /** @param fields of which there is at least one. */
  constructor(fields: object, bytes: Uint8Array | AsyncIterable<Uint8Array>) {
    this.#fields = fields
    this.#bytes = bytes
  }

  /** Fails in the middle where the bytes do: nobody takes a part for the whole. */
  payload(): string | Readable {
    if (this.#bytes instanceof Uint8Array) {
      return JSON.stringify({ ...this.#fields, bytes: base64Of(this.#bytes) })
    }
    return Readable.from(this.#parts(this.#bytes), { objectMode: false })
  }

  async *#parts(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
    yield `${JSON.stringify(this.#fields).slice(0, -1)},"bytes":"`
    yield* inBase64(bytes)
    yield '"}'
  }
}

/** Three bytes are four characters: what is left of a piece goes with the next. */
async function* inBase64(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let left: Uint8Array = new Uint8Array(0)
  for await (const piece of pieces) {
    const bytes = left.length === 0 ? piece : Buffer.concat([left, piece])
    const whole = bytes.length - (bytes.length % 3)
    if (whole > 0) yield base64Of(bytes.subarray(0, whole))
    left = bytes.subarray(whole)
  }
  if (left.length > 0) yield base64Of(left)
}

const base64Of = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64')

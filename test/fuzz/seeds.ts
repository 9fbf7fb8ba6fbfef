// Valid samples that several targets begin with.
import vectors from '../fixtures/events.json' with { type: 'json' }

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))

/** Events of every kind, and blocks refused for every reason. */
export function eventBlocks(): Uint8Array[] {
  const { accepted, refused, history } = vectors
  const blocks = [...accepted, ...refused].map(({ block }) => block)
  return [...new Set([...blocks, ...history.blocks])].map(fromHex)
}

/** Tokens of dag-cbor: heads of every major type at the sizes where they change, and links. */
export const cborWords: readonly Uint8Array[] = [
  ...['00', '17', '1818', '18ff', '190100', '1a00010000', '1b0000000100000000'],
  ...['1b001fffffffffffff', '1b0020000000000000', '20', '3818', '3b001fffffffffffff'],
  ...['40', '4100', '5818', '582401711220', '582401551220', '590100', '5a00010000', '5f', '7f'],
  ...['60', '6161', '7818', '63efbbbf', '80', '8100', '9818', '9a00010000', '9f', 'a0'],
  ...['a16161', 'b818', 'bf', 'c0', 'd82a582500', 'd82a58250001711220', 'f4', 'f5', 'f6', 'f7'],
  ...['f93c00', 'fb7ff8000000000000', 'ff', '695f5f70726f746f5f5f'],
].map(fromHex)

/** A CID of a dag-cbor block, of raw content, and of dag-pb. */
export const cidBytes = (codec: 0x71 | 0x55 | 0x70 = 0x71, fill = 7) =>
  Uint8Array.of(1, codec, 0x12, 0x20, ...new Uint8Array(32).fill(fill))

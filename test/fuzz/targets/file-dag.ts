// Files whose blocks link each other as the input says: sizes that lie, the same block many times, nodes
// that are no nodes. Reading a part of one is bounded by that part, fetching it by what is linked.
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { cidOfDigest } from '../../../src/core/ids.ts'
import { sha256 } from '../../../src/crypto.ts'
import { memoryBlocks } from '../../../src/files/blocks.ts'
import { FetchWork } from '../../../src/files/fetch-work.ts'
import { createFileStore } from '../../../src/files/file-store.ts'
import type { PeerId } from '../../../src/ports.ts'
import { Dice } from '../dice.ts'
import { allowingLater, hold, type Target } from '../target.ts'

interface Made {
  readonly cid: CID
  readonly sizeBytes: number
}

const RAW = 0x55
const LOOKUPS_MAX = 5_000

/** Up to 40 blocks, each of which links those before it; the last is the file. */
async function makeBlocks(dice: Dice, put: (cid: CID, bytes: Uint8Array) => Promise<void>) {
  const made: Made[] = []
  const count = dice.number(1, 40)
  for (let i = 0; i < count; i++) {
    const isLeaf = made.length === 0 || dice.number(0, 3) === 0
    const [codec, bytes, sizeBytes] = isLeaf ? leafOf(dice, i) : nodeOf(dice, made)
    const cid = cidOfDigest(sha256(bytes), codec)
    // Some are nowhere.
    if (dice.number(0, 15) !== 1) await put(cid, bytes)
    made.push({ cid, sizeBytes })
  }
  return made.at(-1) as Made
}

function leafOf(dice: Dice, fill: number): [number, Uint8Array, number] {
  const bytes = new Uint8Array(dice.number(0, 30)).fill(fill)
  return [dice.number(0, 9) === 1 ? dagPb.code : RAW, bytes, bytes.length]
}

function nodeOf(dice: Dice, made: readonly Made[]): [number, Uint8Array, number] {
  const children = dice.list(0, 6, () => dice.oneOf(made.slice(-8)))
  const lie = () => (dice.number(0, 15) === 1 ? dice.number(0, 2 ** 40) : undefined)
  const sizes = children.map(({ sizeBytes }) => lie() ?? sizeBytes)
  if (dice.number(0, 31) === 1) sizes.pop()
  const type = dice.number(0, 15) === 1 ? dice.oneOf(['directory', 'raw'] as const) : 'file'
  const data = dice.number(0, 7) === 1 ? dice.bytes(5) : undefined
  const unixfs = new UnixFS({ type, blockSizes: sizes.map(BigInt), ...(data && { data }) })
  const Links = children.map(({ cid }) => ({ Hash: cid, Name: '', Tsize: 1 }))
  const bytes = dagPb.encode({ Data: unixfs.marshal(), Links })
  return [dagPb.code, bytes, sizes.reduce((sum, size) => sum + size, data?.length ?? 0)]
}

export const target: Target = {
  seeds: () =>
    Array.from({ length: 32 }, (_, i) => new Uint8Array(300).map((_, at) => (at * 7 + 1) * i + at)),
  bytesMax: 1_024,
  isAsync: true,
  check: async (bytes) => {
    const dice = new Dice(bytes)
    const blocks = memoryBlocks()
    const { cid, sizeBytes } = await makeBlocks(dice, blocks.put)
    let lookups = 0
    const counted = {
      ...blocks,
      get: (asked: CID) => {
        hold(++lookups < LOOKUPS_MAX, 'looks for blocks without end')
        return blocks.get(asked)
      },
    }
    const files = createFileStore(counted)
    const offset = dice.number(0, 1) === 0 ? 0 : dice.number(0, Math.max(1, sizeBytes))
    const lengthBytes = dice.number(0, 100)
    await allowingLater(['BAD_BLOCK', 'NOT_HERE'], async () => {
      let count = 0
      for await (const piece of files.read(cid, { offset, lengthBytes })) count += piece.length
      hold(count <= lengthBytes, `${count} bytes of ${lengthBytes}`)
    })
    lookups = 0
    await allowingLater(['BAD_BLOCK'], async () => {
      for await (const walked of files.walk(cid)) hold(walked.cid !== undefined, 'a block')
    })
    await fetched({ cid, sizeBytes: dice.number(0, 3) === 1 ? 7 : sizeBytes }, counted)
  },
}

/** Takes up a file of which nobody has what is missing here. */
async function fetched(file: Made, blocks: ReturnType<typeof memoryBlocks>): Promise<void> {
  const states: string[] = []
  const work = new FetchWork({
    blocks,
    onFile: (_, state) => void states.push(state),
    onQueued: () => undefined,
  })
  await work.begin(file)
  const bounds = { bytes: 1_000_000, count: 100 }
  for (;;) {
    const items = work.take('peer' as PeerId, bounds)
    if (items.length === 0) break
    for (const item of items) item.absentAt.add('peer' as PeerId)
    work.giveBack(items)
  }
  await work.giveUp(() => true)
  hold(work.unsettled === 0 && work.queued === 0, 'something is wanted for ever')
  hold(states.length === 1, `a file ends ${states.length} times`)
}

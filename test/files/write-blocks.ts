// Writes blocks without end to the folder given, telling of each that it is acknowledged, until a
// test kills it.
import { openDiskBlocks } from '../../src/files/block-store.ts'
import { cidOfDigest } from '../../src/core/ids.ts'
import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  const words = new Uint32Array(bytes.buffer, 0, length >>> 2)
  let x = seed | 1
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return bytes
}

const blocks = await openDiskBlocks(process.argv[2] as string)
for (let seed = 1; ; seed += 8) {
  await Promise.all(
    [0, 2, 4, 6].map(async (i) => {
      const bytes = pattern(20_000, seed + i)
      await blocks.put(cidOfDigest(createHash('sha256').update(bytes).digest(), 0x55), bytes)
      writeSync(1, `${seed + i}\n`)
    }),
  )
}

// Bounds V8's young generation ("new space"). It grows to 128 MiB while a daemon's modules load and
// then keeps that, used by nothing; a small one also frees the memory of dead buffers sooner.
import v8 from 'node:v8'

/** Both halves. With less, collections cost more than they free. */
const NURSERY_BYTES = 16 * 1024 * 1024
const LOOK_EVERY_MS = 200
const FILLING = { rounds: 200, objects: 10_000 }

/**
 * As `--max-semi-space-size=8` does, which only a command line can say. To be called before most
 * modules are loaded: what has grown stays.
 */
export function boundNursery(): void {
  const kept: object[] = []
  for (let i = 0; i < FILLING.rounds && nurseryBytes() < NURSERY_BYTES; i++) {
    for (let k = 0; k < FILLING.objects; k++) kept[k] = { i, k: [k] }
  }
  allowGrowth(false)
  // V8 shrinks it when a node is idle, and must be able to undo that.
  setInterval(() => allowGrowth(nurseryBytes() < NURSERY_BYTES), LOOK_EVERY_MS).unref()
}

function nurseryBytes(): number {
  return (
    v8.getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? 0
  )
}

function allowGrowth(may: boolean): void {
  v8.setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`)
}

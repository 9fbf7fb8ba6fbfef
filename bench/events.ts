// Events through Replica.submit: decode, verify, order, reduce, persist. Against what one core does
// of Ed25519 alone, on the signatures of the same events.
import { createPublicKey, randomBytes, verify } from 'node:crypto'
import { join } from 'node:path'
import { isRejection } from '../src/core/errors.ts'
import { decodeEvent, signatureOf } from '../src/core/event-codec.ts'
import { sha256 } from '../src/crypto.ts'
import { Author, openReplica, submitAll } from './dataset.ts'
import { type Bench, interleave, memoryOf, ratioOf, seconds } from './harness.ts'

const PUBLIC_KEY_HEADER = Buffer.from('302a300506032b6570032100', 'hex')
const OPERATIONS = 1_000

export async function run(bench: Bench): Promise<void> {
  await singles(bench, bench.pick(1_000, 5_000))
  await batches(bench, bench.pick(10, 50))
}

async function singles(bench: Bench, pairs: number): Promise<void> {
  const author = new Author(randomBytes(32))
  const { replica, close } = await openReplica(join(bench.dir, 'singles'), author.dataset)
  await submitAll(replica, [author.genesis, ...author.accepted(200)])
  const rounds = Array.from({ length: bench.rounds }, () => author.accepted(pairs))
  const events = pairs * 2
  const roots: number[] = []
  const { submit, verified } = await interleave(bench.rounds, {
    submit: async (round) => {
      const blocks = rounds[round] as Uint8Array[]
      const took = await seconds(() => submitAll(replica, blocks))
      roots.push(events / (await seconds(() => replica.snapshot())))
      return events / took
    },
    verified: async (round) => verifyRate(rounds[round] as Uint8Array[]),
  })
  const peakBytes = [(await memoryOf(process.pid)).peakBytes]
  const size = `${events} events, 1 operation each`
  const unit = 'events/s'
  bench.report({
    what: 'events: submit',
    size,
    samples: submit,
    unit,
    goal: { atLeast: 8_000 },
    ratio: ratioOf(submit, verified, 'Ed25519 verify, one thread'),
    peakBytes,
  })
  bench.report({ what: 'events: root after', size, samples: roots, unit })
  bench.report({ what: 'Ed25519 verify', size, samples: verified, unit: 'verifies/s' })
  await close()
}

async function batches(bench: Bench, proposals: number): Promise<void> {
  const author = new Author(randomBytes(32))
  const { replica, close } = await openReplica(join(bench.dir, 'batches'), author.dataset)
  await submitAll(replica, [author.genesis, ...author.accepted(2, OPERATIONS)])
  await replica.snapshot()
  const objects = proposals * OPERATIONS
  const submit: number[] = []
  const root: number[] = []
  for (let round = 0; round < bench.rounds; round++) {
    const blocks = author.accepted(proposals, OPERATIONS)
    submit.push(objects / (await seconds(() => submitAll(replica, blocks))))
    root.push(objects / (await seconds(() => replica.snapshot())))
  }
  const peakBytes = [(await memoryOf(process.pid)).peakBytes]
  const size = `${objects} objects, ${OPERATIONS} an event`
  const unit = 'objects/s'
  const goal = { atLeast: 25_000 }
  bench.report({ what: 'objects: submit', size, samples: submit, unit, goal, peakBytes })
  bench.report({ what: 'objects: root after', size, samples: root, unit })
  await close()
}

/** Verifies a second, on this thread, as node:crypto does it. */
async function verifyRate(blocks: readonly Uint8Array[]): Promise<number> {
  const signed = blocks.map((block) => {
    const event = decodeEvent(block, sha256)
    if (isRejection(event)) throw new Error(event.what)
    return signatureOf(event, sha256)
  })
  const raw = (signed[0] as { key: Uint8Array }).key
  const spki = Buffer.concat([PUBLIC_KEY_HEADER, raw])
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  const took = await seconds(async () => {
    for (const { message, signature } of signed) {
      if (!verify(null, message, key, signature)) throw new Error('a signature is not valid')
    }
  })
  return signed.length / took
}

// What two replicas exchange when one lacks ten events of many, and when neither lacks anything.
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '../src/crypto.ts'
import { createSyncServer } from '../src/replica/sync-server.ts'
import { runSession, type SessionResult } from '../src/replica/sync-session.ts'
import { syncSourceOf } from '../src/replica/sync-source.ts'
import { type OpenReplica, openReplica, submitAll } from './dataset.ts'
import { type Bench, seconds } from './harness.ts'
import { startWorker } from './worker.ts'
import type { FillMethods } from './workers/fill.ts'

const MISSING = 10
const KIB = 1024

export async function run(bench: Bench): Promise<void> {
  const events = bench.pick(20_000, 100_000)
  const homes = [join(bench.dir, 'ahead'), join(bench.dir, 'behind')] as const
  const fill = startWorker<FillMethods>('fill')
  const pairs = (MISSING / 2) * bench.rounds
  const { dataset, more } = await fill.call.fill(homes[0], events / 2, 1, pairs)
  await fill.stop()
  await cp(homes[0], homes[1], { recursive: true })
  const ahead = await openReplica(homes[0], dataset)
  const behind = await openReplica(homes[1], dataset)
  const missing: Measured = { bytes: [], trips: [], ms: [] }
  const nothing: Measured = { bytes: [], trips: [], ms: [] }
  for (let round = 0; round < bench.rounds; round++) {
    const blocks = more.splice(0, MISSING)
    // Enough of the log's tail differs only on one side: what was made is submitted there alone.
    await submitAll(ahead.replica, blocks)
    await measure(missing, MISSING, () => session(behind, ahead))
    await measure(nothing, 0, () => session(behind, ahead))
  }
  report(bench, `${MISSING} of ${events} events`, missing, { bytes: 64 * KIB, trips: 4 })
  report(bench, `0 of ${events} events`, nothing, { bytes: 2 * KIB, trips: 1 })
  await ahead.close()
  await behind.close()
}

interface Measured {
  readonly bytes: number[]
  readonly trips: number[]
  readonly ms: number[]
}

async function measure(
  into: Measured,
  wanted: number,
  work: () => Promise<SessionResult>,
): Promise<void> {
  let result: SessionResult | undefined
  into.ms.push((await seconds(async () => (result = await work()))) * 1_000)
  if (result?.stored !== wanted) throw new Error(`sync ended with ${JSON.stringify(result)}`)
  const { sentBytes, receivedBytes, roundTrips } = result.traffic
  into.bytes.push(sentBytes + receivedBytes)
  into.trips.push(roundTrips)
}

/** One session in this process, with the messages of the wire but no wire. */
function session(asker: OpenReplica, answerer: OpenReplica): Promise<SessionResult> {
  const { replica } = asker
  const source = syncSourceOf(answerer.replica, answerer.nodes, sha256)
  const answer = createSyncServer({ source: () => source, heard: () => {} })
  const { signal } = new AbortController()
  return runSession({
    peer: 'answerer',
    dataset: replica.id,
    source: syncSourceOf(replica, asker.nodes, sha256),
    sha256,
    ask: (body) => answer('asker', body, signal),
    submit: async (blocks) => {
      const { stored, missingParents, refused } = await replica.submit(blocks)
      return { stored: stored.length, missingParents, refused }
    },
  })
}

function report(
  bench: Bench,
  size: string,
  { bytes, trips, ms }: Measured,
  goals: { bytes: number; trips: number },
): void {
  bench.report({
    what: 'sync: exchanged',
    size,
    samples: bytes.map((count) => count / KIB),
    unit: 'KiB',
    goal: { atMost: goals.bytes / KIB },
  })
  const goal = { atMost: goals.trips }
  bench.report({ what: 'sync: round trips', size, samples: trips, unit: '', goal })
  bench.report({ what: 'sync: time without a network', size, samples: ms, unit: 'ms' })
}

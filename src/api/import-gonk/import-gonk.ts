// Moving in from Gonk: its history replayed as events of the key of whoever asks. Everything is
// read and checked before anything is signed; what is here already is left out, so that an import
// that was cut off can be repeated.
import { GonkError } from '../../core/errors.ts'
import { type EventId, textOfEventId, type VersionId } from '../../core/ids.ts'
import { broken, type GonkEvent } from '../../importers/gonk/events.ts'
import { GonkFolder } from '../../importers/gonk/folder.ts'
import {
  type GonkOperation,
  type GonkStep,
  isAccepted,
  readHistory,
} from '../../importers/gonk/history.ts'
import { readEvents } from '../../importers/gonk/record-keeper.ts'
import { throwIfAborted } from '../../files/concurrent.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import { Mutex } from '../../replica/mutex.ts'
import type { Replica } from '../../replica/replica.ts'
import type { ImportResult, ProgressOptions } from '../../contract/api.ts'
import type { NodeContext } from '../context.ts'
import { integrityOf } from '../gonk/integrity.ts'
import { findImported, type Imported } from './known.ts'
import { GonkOperations, levelsOf } from './operations.ts'
import { tallyOf } from './tally.ts'
import { takeBlobs } from './blobs.ts'
import { NamesAtOnce, reviewLabels } from './words.ts'
import { proposeAll, requireOwner } from '../objects/proposing.ts'
import { inReviews, type Selected, signReview } from '../review/review-batch.ts'

/**
 * Events that are replayed together. Within so many, operations go by what needs what, and reviews
 * after them: as they came, each batch would hold one.
 */
const STEPS_AT_ONCE = 2_000

/** One import at a time into a dataset: what another one signs meanwhile would be signed twice. */
const turns = new WeakMap<Replica, Mutex>()

/**
 * Throws NOT_OWNER; NOT_ALLOWED where several owners must accept; NOT_FOUND and AMBIGUOUS for the
 * folder; BAD_EVENT, BAD_BLOCK, NOT_HERE and TOO_LARGE for what is in it, with nothing signed; DISK,
 * LOCKED, CANCELLED.
 * @param path a dataset folder of Gonk, or a `root` with a single dataset.
 */
export async function importGonk(
  context: NodeContext,
  entry: CatalogEntry,
  path: string,
  options: ProgressOptions = {},
): Promise<ImportResult> {
  const replica = await context.replicas.get(entry.id)
  requireOwner(context, replica)
  requireOneApproval(replica)
  const folder = await GonkFolder.find(path)
  const turn = turns.get(replica) ?? new Mutex()
  turns.set(replica, turn)
  return turn.run(() => importFolder(context, replica, folder, options))
}

/** In Gonk one review decides, and each of them is taken over as one. */
function requireOneApproval({ policy: { kReview } }: Replica): void {
  if (kReview === 1) return
  throw new GonkError('NOT_ALLOWED', `${kReview} owners must accept each change, and one imports`, {
    hint: 'set it to one, import, and set it back: `gonk-node policy set DATASET --reviews 1`',
  })
}

async function importFolder(
  context: NodeContext,
  replica: Replica,
  folder: GonkFolder,
  options: ProgressOptions,
): Promise<ImportResult> {
  const history = await readHistory(chained(context, readEvents(folder), options))
  const imported = await findImported(context, replica, history)
  const known = imported.places.size
  // Until they are proposed, nothing keeps the blocks of files from the collector.
  return context.keeper.gate.shared(async () => {
    const blobs = await takeBlobs(context, folder, history, imported, options)
    const operations = new GonkOperations({
      folder,
      blobs,
      imported,
      sha256: context.crypto.sha256,
    })
    const replay = new Replay(context, replica, { operations, imported, ...options })
    await replay.run(history.steps)
    const tally = await tallyOf(context, replica, history, imported, { blobs, operations, known })
    return { events: replay.events, ...tally }
  })
}

/** Passes events on while each covers the one before. Throws BAD_EVENT, naming where that ends. */
async function* chained(
  { crypto }: Pick<NodeContext, 'crypto'>,
  events: AsyncIterable<GonkEvent>,
  { onProgress, signal }: ProgressOptions,
): AsyncGenerator<GonkEvent> {
  let before: string | undefined
  let done = 0
  for await (const event of events) {
    throwIfAborted(signal)
    const integrity = integrityOf(event, before, crypto.sha256)
    if (event.integrity.toLowerCase() !== integrity) {
      const where = `event ${done} (${event.uuid}, ${event.type})`
      broken(`the hash chain breaks at ${where}: it or an event before it was changed`)
    }
    yield event
    before = integrity
    done++
    onProgress?.({ what: 'reading events', done, total: 0, bytes: 0 })
  }
}

interface ReplayOptions extends ProgressOptions {
  readonly operations: GonkOperations
  readonly imported: Imported
}

type Review = Extract<GonkStep, { review: unknown }>

class Replay {
  /** Ids of what was signed. */
  readonly events: string[] = []
  readonly #context: NodeContext
  readonly #replica: Replica
  readonly #options: ReplayOptions

  constructor(context: NodeContext, replica: Replica, options: ReplayOptions) {
    this.#context = context
    this.#replica = replica
    this.#options = options
  }

  async run(steps: readonly GonkStep[]): Promise<void> {
    const { operations, imported, onProgress, signal } = this.#options
    for (let from = 0; from < steps.length; from += STEPS_AT_ONCE) {
      throwIfAborted(signal)
      const some = steps.slice(from, from + STEPS_AT_ONCE)
      const proposed = some.flatMap((step) => ('operation' in step ? [step.operation] : []))
      operations.note(proposed)
      const isNew = (operation: GonkOperation) => !imported.places.has(operation)
      for (const level of levelsOf(proposed.filter(isNew))) await this.#propose(level)
      await this.#review(some.filter((step) => 'review' in step))
      const done = Math.min(from + STEPS_AT_ONCE, steps.length)
      onProgress?.({ what: 'importing', done, total: steps.length, bytes: 0 })
    }
  }

  async #propose(level: readonly GonkOperation[]): Promise<void> {
    const { operations, imported, signal } = this.#options
    const made = []
    for (const operation of level) made.push(await operations.operationOf(operation))
    const proposals = await proposeAll(this.#context, this.#replica, made, {
      contents: operations.contentsOf(level),
      ...(signal && { signal }),
    })
    const places = proposals.flatMap(({ id: proposal, operations }) =>
      operations.map((_, index): VersionId => ({ proposal, index })),
    )
    for (const [i, operation] of level.entries()) {
      imported.places.set(operation, places[i] as VersionId)
      if (operation.review !== undefined) imported.toldReviews.add(operation)
    }
    for (const { id } of proposals) this.events.push(textOfEventId(id))
  }

  /** Reviews of which the operations tell, in batches; those that came later, one by one. */
  async #review(reviews: readonly Review[]): Promise<void> {
    const { operations, imported } = this.#options
    const open = reviews.map(({ of }) => of).filter((of) => !imported.decided.has(of))
    const accepts = open.filter((of) => isAccepted(of) && operations.isFit(of))
    const rejects = open.filter((of) => !isAccepted(of))
    const isTold = (of: GonkOperation) => imported.toldReviews.has(of)
    for (const part of partsOf(accepts.filter(isTold))) await this.#sign('accept', part)
    await this.#sign('reject', rejects.filter(isTold))
    const late = [...accepts, ...rejects].filter((of) => !isTold(of))
    const events = late.map((of) => this.#signLate(of))
    for (const event of await Promise.all(events)) this.events.push(event)
    for (const of of [...accepts, ...rejects]) imported.decided.add(of)
  }

  async #sign(verdict: 'accept' | 'reject', of: readonly GonkOperation[]): Promise<void> {
    for await (const batch of inReviews(this.#selected(of))) {
      this.events.push(await signReview(this.#context, this.#replica, batch, { verdict }))
    }
  }

  async *#selected(of: readonly GonkOperation[]): AsyncGenerator<Selected> {
    const indexes = new Map<EventId, number[]>()
    for (const operation of of) {
      const { proposal, index } = this.#placeOf(operation)
      const known = indexes.get(proposal)
      if (known) known.push(index)
      else indexes.set(proposal, [index])
    }
    for (const [id, all] of indexes) {
      const proposal = await this.#replica.proposal(id)
      if (proposal === undefined) throw new Error(`proposal ${id} was here and is not`)
      yield { proposal, runs: runsOf(all) }
    }
  }

  async #signLate(of: GonkOperation): Promise<string> {
    const { proposal, index } = this.#placeOf(of)
    const verdict = isAccepted(of) ? ('accept' as const) : ('reject' as const)
    const items = [{ proposal, ranges: [[index, index] as const] }]
    const body = { kind: 'review' as const, verdict, items }
    const { signer } = this.#context
    const event = await this.#replica.act(signer, body, undefined, reviewLabels(of))
    return textOfEventId(event.id)
  }

  #placeOf(operation: GonkOperation): VersionId {
    return this.#options.imported.places.get(operation) as VersionId
  }
}

/** One review dates all it accepts alike: of two claims on one name, the first must come before. */
function* partsOf(accepts: readonly GonkOperation[]): Generator<GonkOperation[]> {
  let part: GonkOperation[] = []
  let names = new NamesAtOnce()
  for (const operation of accepts) {
    if (!names.add(operation)) {
      yield part
      part = []
      names = new NamesAtOnce()
      names.add(operation)
    }
    part.push(operation)
  }
  if (part.length > 0) yield part
}

function runsOf(indexes: readonly number[]): [number, number][] {
  const runs: [number, number][] = []
  for (const index of indexes.toSorted((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last?.[1] === index - 1) last[1] = index
    else runs.push([index, index])
  }
  return runs
}

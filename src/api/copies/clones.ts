// Clones as the life of a node sees them: at most one of a dataset. Those that a stop of the process
// cut off go on in the background, and one that a person asks for again takes over from there.
import { GonkError } from '../../core/errors.ts'
import { type DatasetId, textOfEventId } from '../../core/ids.ts'
import type { CatalogEntry } from '../../log/catalog.ts'
import { clone } from './clone.ts'
import type { NodeContext } from '../context.ts'
import type { Live } from '../live.ts'
import type { CloneRequest, CloneResult, ProgressOptions } from '../../contract/api.ts'

interface Running {
  readonly stop: AbortController
  readonly ended: Promise<void>
}

const RETRY_MIN_MS = 1_000
const RETRY_MAX_MS = 60_000

export class Clones {
  readonly #context: NodeContext
  readonly #live: Live
  readonly #running = new Map<DatasetId, Running>()

  constructor(context: NodeContext, live: Live) {
    this.#context = context
    this.#live = live
  }

  /** Throws what {@link clone} throws; CANCELLED when another one takes over, or it is forgotten. */
  async run(request: CloneRequest, options: ProgressOptions = {}): Promise<CloneResult> {
    const stop = new AbortController()
    const signal = AbortSignal.any([stop.signal, ...(options.signal ? [options.signal] : [])])
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    let target: DatasetId | undefined
    const onTarget = async (dataset: DatasetId) => {
      while (this.#running.has(dataset)) await this.giveUp(dataset)
      this.#running.set(dataset, { stop, ended })
      target = dataset
    }
    try {
      return await clone(this.#context, this.#live, request, { ...options, signal, onTarget })
    } finally {
      if (target !== undefined) this.#running.delete(target)
      resolve()
    }
  }

  /** Goes on with clones that were cut off, until they are done. Returns at once. */
  resume(datasets: readonly DatasetId[]): void {
    for (const dataset of datasets) {
      const stop = new AbortController()
      const ended = this.#untilDone(dataset, stop.signal).finally(() => {
        this.#running.delete(dataset)
      })
      this.#running.set(dataset, { stop, ended })
    }
  }

  /** Ends the clone of a dataset that goes on; what was fetched stays. */
  async giveUp(dataset: DatasetId): Promise<void> {
    const running = this.#running.get(dataset)
    running?.stop.abort(new GonkError('CANCELLED', 'the clone was given up for another command'))
    await running?.ended
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((dataset) => this.giveUp(dataset)))
  }

  async #untilDone(dataset: DatasetId, signal: AbortSignal): Promise<void> {
    const { catalog, clock, logger } = this.#context
    const fields = { dataset: textOfEventId(dataset) }
    for (let waitMs = RETRY_MIN_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      const entry = catalog.get(dataset)
      if (entry?.cloning === undefined) return
      try {
        const { root, seconds } = await this.#once(entry, signal)
        logger.info({ ...fields, root, seconds }, 'clone finished')
        return
      } catch (error) {
        if (signal.aborted || catalog.get(dataset) === undefined) return
        const { code = 'INTERNAL', message } = error as GonkError
        logger.warn({ ...fields, code, what: message, retryMs: waitMs }, 'clone goes on later')
      }
      await clock.sleep(waitMs, { signal }).catch(() => {})
    }
  }

  #once({ id, cloning, pinnedRoot }: CatalogEntry, signal: AbortSignal): Promise<CloneResult> {
    const ref = cloning?.root ?? textOfEventId(id)
    const peers = cloning?.peers ?? []
    const { anchor } = cloning ?? {}
    const request = { ref, peers, pinOnly: pinnedRoot !== undefined, ...(anchor && { anchor }) }
    return clone(this.#context, this.#live, request, { signal })
  }
}

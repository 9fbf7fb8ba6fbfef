// One dataset as the dialect works on it: told up to what is stored, and written to one at a time.
import { GonkError } from '../../core/errors.ts'
import { textOfEventId } from '../../core/ids.ts'
import type { GonkLog, GonkVersionRow, Place, ThingKind, ThingRow } from '../../log/gonk-log.ts'
import { Mutex } from '../../replica/mutex.ts'
import type { Replica } from '../../replica/replica.ts'
import type { Clock } from '../../ports.ts'
import type { NodeContext } from '../context.ts'
import type { TellingNeeds } from './line.ts'
import { Teller } from './teller.ts'
import { uuidOfText } from './uuids.ts'

/** How long a request waits where much is to be told. */
const PATIENCE_MS = 10_000

export type ViewNeeds = TellingNeeds & Pick<NodeContext, 'clock'>
export type ViewsNeeds = ViewNeeds & Pick<NodeContext, 'catalog' | 'replicas' | 'logger'>

/** Text that Gonk's clients get as a broken rule. */
export const broken = (text: string): GonkError => new GonkError('NOT_ALLOWED', text)
export const missing = (text: string): GonkError => new GonkError('NOT_FOUND', text)

/** A thing that was found. */
export interface Found {
  readonly uuid: string
  readonly thing: ThingRow
}

export interface FoundVersion extends Found {
  readonly place: Place
  readonly row: GonkVersionRow
}

/** What was not found is called so. */
export type Noun = 'Object' | 'Schema' | 'Annotation'

export class View {
  readonly replica: Replica
  readonly log: GonkLog
  readonly #teller: Teller
  readonly #clock: Clock
  /** By what is checked, while it is. */
  readonly #turns = new Map<string, { readonly turn: Mutex; users: number }>()

  constructor(needs: ViewNeeds, replica: Replica) {
    this.replica = replica
    this.log = replica.log.gonk
    this.#clock = needs.clock
    this.#teller = new Teller(needs, replica)
  }

  /** What is untold is more than came just now. */
  get isFarBehind(): boolean {
    return this.#teller.isFarBehind
  }

  /** Tells what came since the last time. Throws CANCELLED. */
  catchUp(signal?: AbortSignal): Promise<void> {
    return this.#teller.catchUp(signal)
  }

  /** As {@link catchUp}, for somebody who waits: throws TIMEOUT where that takes long, and goes on. */
  async current(): Promise<void> {
    const told = this.catchUp()
    if (!this.isFarBehind) return told
    const stop = new AbortController()
    const late = this.#clock.sleep(PATIENCE_MS, { signal: stop.signal }).then(
      () => true,
      () => false,
    )
    const isLate = await Promise.race([told.then(() => false), late]).finally(() => stop.abort())
    if (!isLate) return
    told.catch(() => {})
    throw new GonkError('TIMEOUT', 'the history of this dataset is being read: try again soon')
  }

  /**
   * What is checked still holds when it is signed: nobody else has any of the things in hand
   * meanwhile, and what who had them before did is told.
   * @param things in the order in which everybody takes them: contents, names, objects.
   */
  async alone<T>([first, ...rest]: readonly string[], task: () => Promise<T>): Promise<T> {
    if (first === undefined) return task()
    const held = this.#turns.get(first) ?? { turn: new Mutex(), users: 0 }
    this.#turns.set(first, held)
    held.users++
    try {
      return await held.turn.run(() => this.alone(rest, task))
    } finally {
      held.users--
      if (held.users === 0) this.#turns.delete(first)
    }
  }

  /** @param text as somebody wrote it; capitals are fine. Throws NOT_FOUND. */
  async find(kind: ThingKind, text: string, noun: Noun): Promise<Found> {
    const uuid = uuidOfText(text)
    const thing = uuid === undefined ? undefined : await this.log.thing(uuid)
    if (uuid === undefined || thing?.kind !== kind) throw missing(`${noun} not found.`)
    return { uuid, thing }
  }

  /** The schema of that name that counts, else the first one that was proposed. */
  async findSchema(name: string): Promise<Found> {
    for (const claim of ['name', 'any name'] as const) {
      for await (const { uuid } of this.log.claims(claim, name)) {
        const thing = await this.log.thing(uuid)
        if (thing !== undefined) return { uuid, thing }
      }
    }
    throw missing('Schema not found.')
  }

  async versionOf(found: Found, version: number, noun: Noun): Promise<FoundVersion> {
    const place = { uuid: found.uuid, version }
    const row = Number.isSafeInteger(version) ? await this.log.version(place) : undefined
    if (row === undefined) throw missing(`${noun} not found.`)
    return { ...found, place, row }
  }
}

/** The views of a node, shared by all who ask. */
export class Views {
  readonly #needs: ViewsNeeds
  readonly #views = new WeakMap<Replica, View>()
  readonly #stop = new AbortController()
  readonly #telling = new Set<Promise<void>>()

  constructor(needs: ViewsNeeds) {
    this.#needs = needs
  }

  /** @param name of the dataset, exactly. Throws NOT_FOUND. */
  async open(name: string): Promise<View> {
    const { catalog, replicas } = this.#needs
    const entry = catalog.list().find((entry) => entry.name === name)
    const replica = entry && (await replicas.get(entry.id))
    if (replica?.hasGenesis !== true) throw missing('Dataset not found.')
    return this.#viewOf(replica)
  }

  /** From now on what is stored is told in the background, so that nobody has to wait for it. */
  follow(): void {
    const { catalog, replicas } = this.#needs
    // Its teller may hear of it after this.
    replicas.onStored((replica) => queueMicrotask(() => this.#tell(replica)))
    for (const { id } of catalog.list()) {
      replicas.get(id).then(
        (replica) => this.#tell(replica),
        () => {},
      )
    }
  }

  #viewOf(replica: Replica): View {
    const view = this.#views.get(replica) ?? new View(this.#needs, replica)
    this.#views.set(replica, view)
    return view
  }

  #tell(replica: Replica): void {
    const { signal } = this.#stop
    if (signal.aborted || !replica.hasGenesis) return
    const telling = this.#viewOf(replica)
      .catchUp(signal)
      .catch((error: unknown) => {
        // The dataset was closed, or the node stops.
        if (error instanceof GonkError && error.code === 'CANCELLED') return
        const fields = { dataset: textOfEventId(replica.id), reason: String(error) }
        this.#needs.logger.warn(fields, 'what is stored could not be told to clients of Gonk yet')
      })
      .finally(() => this.#telling.delete(telling))
    this.#telling.add(telling)
  }

  /** Stops what goes on in the background. */
  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#telling)
  }
}

// What the operations of a node work on. Built by node.ts; functions take the part they need.
import { GonkError } from '../core/errors.ts'
import type { Event } from '../core/event.ts'
import { type DatasetId, eventIdOfText, textOfEventId } from '../core/ids.ts'
import type { Catalog, CatalogEntry } from '../log/catalog.ts'
import type { Database } from '../log/database.ts'
import type { HeldFiles } from '../log/held-files.ts'
import type { NodeBlocks } from '../log/node-blocks.ts'
import type { Me } from '../contract/api.ts'
import type {
  Clock,
  Crypto,
  FileStore,
  Logger,
  Network,
  Random,
  SchemaValidator,
  Signer,
} from '../ports.ts'
import type { FileKeeper } from '../replica/file-keeper.ts'
import { openWhole, rebuild, type RebuildOptions, type Rebuilt } from '../replica/repair.ts'
import type { Origin, Replica } from '../replica/replica.ts'
import { tellOfSelfForks } from '../replica/self-forks.ts'
import type { Users } from '../users/users.ts'
import type { Incoming } from './objects/incoming.ts'

export interface NodeContext {
  readonly db: Database
  readonly catalog: Catalog
  readonly nodes: NodeBlocks
  readonly held: HeldFiles
  readonly files: FileStore
  readonly network: Network
  /** Whoever asks, and the key that signs for them. */
  readonly me: Me
  readonly signer: Signer
  readonly users: Users
  readonly validator: SchemaValidator
  readonly crypto: Crypto
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly replicas: Replicas
  readonly keeper: FileKeeper
  readonly incoming: Incoming
  /** Absolute path of a directory for temporary databases. */
  readonly scratch: string
}

export interface ReplicasNeeds extends Pick<
  NodeContext,
  'db' | 'catalog' | 'nodes' | 'held' | 'crypto' | 'clock' | 'logger'
> {
  /** Bytes of undecided proposals of others kept in each dataset. */
  readonly poolBytesMax?: number
}

type StoredListener = (replica: Replica, events: readonly Event[], origin: Origin) => void

/** Replicas of this home, opened when they are first needed. */
export class Replicas {
  readonly #open = new Map<DatasetId, Promise<Replica>>()
  readonly #listeners = new Set<StoredListener>()
  readonly #needs: ReplicasNeeds
  readonly #healed = new Set<DatasetId>()

  constructor(needs: ReplicasNeeds) {
    this.#needs = needs
  }

  /** Throws NOT_FOUND for a dataset that is not in the catalog. */
  get(id: DatasetId): Promise<Replica> {
    const open = this.#open.get(id)
    if (open) return open
    const entry = this.#needs.catalog.get(id)
    if (!entry) throw new GonkError('NOT_FOUND', `no dataset ${textOfEventId(id)}`)
    return this.#hold(id, this.#openWhole(entry))
  }

  #openWhole(entry: CatalogEntry): Promise<Replica> {
    const onSelfForks = tellOfSelfForks(this.#needs.logger, entry.id)
    return openWhole({ ...this.#needs, onSelfForks }, entry, this.#healed)
  }

  #hold(id: DatasetId, opening: Promise<Replica>): Promise<Replica> {
    const replica = opening.then((opened) => {
      opened.onStored((events, origin) => {
        for (const listener of this.#listeners) listener(opened, events, origin)
      })
      return opened
    })
    this.#open.set(id, replica)
    replica.catch(() => this.#open.delete(id))
    return replica
  }

  /** Closes the dataset, makes all of its rows again, and opens it: who asks for it meanwhile waits. */
  async rebuild(id: DatasetId, options: RebuildOptions = {}): Promise<Rebuilt> {
    const { promise, resolve, reject } = Promise.withResolvers<Rebuilt>()
    promise.catch(() => {})
    const before = this.#open.get(id)
    const opening = async () => {
      await before?.then((replica) => replica.close()).catch(() => {})
      const { catalog } = this.#needs
      const entryOf = () => resolveDataset(catalog, textOfEventId(id))
      await rebuild(this.#needs, entryOf(), options).then(resolve, reject)
      return this.#openWhole(entryOf())
    }
    await this.#hold(id, opening())
    return promise
  }

  /** Told after each commit of any dataset, also of those that come later. */
  onStored(listener: StoredListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(id: DatasetId): Promise<void> {
    const open = this.#open.get(id)
    this.#open.delete(id)
    const replica = await open?.catch(() => undefined)
    await replica?.close()
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((id) => this.close(id)))
  }
}

/** Finds a dataset by name, id, or unique prefix of either. Throws NOT_FOUND, AMBIGUOUS. */
export function resolveDataset(catalog: Catalog, ref: string): CatalogEntry {
  const entries = catalog.list()
  const id = eventIdOfText(ref)
  const exact = entries.find((entry) => entry.name === ref || entry.id === id)
  if (exact) return exact
  const found = entries.filter(
    (entry) => entry.name.startsWith(ref) || textOfEventId(entry.id).startsWith(ref),
  )
  const [only] = found
  if (only === undefined || ref === '') {
    throw new GonkError('NOT_FOUND', `no dataset "${ref}" here`, {
      hint: 'see `gonk-node dataset list`; make one with `dataset create`, or clone it',
    })
  }
  if (found.length > 1) {
    const names = found.map((entry) => entry.name).join(', ')
    throw new GonkError('AMBIGUOUS', `"${ref}" could be ${names}`)
  }
  return only
}

/** `NAME@TAG` → dataset reference and tag. */
export function splitTag(ref: string): { dataset: string; tag?: string } {
  const at = ref.indexOf('@')
  if (at < 0) return { dataset: ref }
  return { dataset: ref.slice(0, at), tag: ref.slice(at + 1) }
}

// Votes for checkpoints, by the checkpoint before, and what they say.
import { bodyOf, wireOfBody } from '../core/body-codec.ts'
import { checkpointIdOf } from '../core/checkpoint-id.ts'
import type { CheckpointBody, OwnerEvent } from '../core/event.ts'
import { type CheckpointId, hexOf, type PublicKey, type Sha256 } from '../core/ids.ts'
import { type Database, put, type Write } from './database.ts'
import { DATASET_PREFIX_BYTES, type DatasetKey, hex, rangeOf } from './keys.ts'
import { decodeRow, encodeRow } from './rows.ts'

const NONE = new Uint8Array(32)
const ID_BYTES = 32

export interface Vote {
  readonly id: CheckpointId
  readonly key: PublicKey
}

export class CheckpointTable {
  readonly #db: Database
  readonly #key: DatasetKey

  constructor(db: Database, key: DatasetKey) {
    this.#db = db
    this.#key = key
  }

  /** Of a `cp` event; nothing for others. However often a key votes for it, it has one vote. */
  putVote({ author, dataset, body }: OwnerEvent, sha256: Sha256): Write[] {
    if (body.kind !== 'cp') return []
    const { checkpoint } = body
    const id = checkpointIdOf(dataset, checkpoint, sha256)
    return [
      put(this.#key('checkpoints', hex(id)), encodeRow(wireOfBody(body))),
      put(this.#key('votes', before(checkpoint.previous), hex(id), hex(author))),
    ]
  }

  async body(id: CheckpointId): Promise<CheckpointBody | undefined> {
    const bytes = await this.#db.get(this.#key('checkpoints', hex(id)))
    return bytes && decoded(bytes)
  }

  /** Every body somebody voted for, by id. */
  async *all(): AsyncIterable<[CheckpointId, CheckpointBody]> {
    for await (const [key, value] of this.#db.iterator(rangeOf(this.#key('checkpoints')))) {
      yield [hexOf(key.subarray(DATASET_PREFIX_BYTES)) as CheckpointId, decoded(value)]
    }
  }

  /** Ids of the checkpoints after `previous` (undefined: the first ones) that somebody voted for. */
  async after(previous: CheckpointId | undefined): Promise<CheckpointId[]> {
    const ids = new Set<CheckpointId>()
    for await (const { id } of this.votesAfter(previous)) ids.add(id)
    return [...ids]
  }

  votesAfter(previous: CheckpointId | undefined): AsyncIterable<Vote> {
    return this.#votes(this.#key('votes', before(previous)))
  }

  /** Which of the keys voted for it, whoever else did. */
  async votesFor(
    id: CheckpointId,
    { previous }: Pick<CheckpointBody, 'previous'>,
    among: Iterable<PublicKey>,
  ): Promise<Set<PublicKey>> {
    const keys = [...among]
    const rows = keys.map((key) => this.#key('votes', before(previous), hex(id), hex(key)))
    const haveVoted = await this.#db.hasMany(rows)
    return new Set(keys.filter((_, i) => haveVoted[i] === true))
  }

  /** All votes there are, by the checkpoint before and then by the one they are for. */
  async *allVotes(): AsyncIterable<Vote & { readonly previous: CheckpointId | undefined }> {
    const prefix = this.#key('votes')
    for await (const row of this.#db.keys(rangeOf(prefix))) {
      const previous = hexOf(row.subarray(DATASET_PREFIX_BYTES, DATASET_PREFIX_BYTES + ID_BYTES))
      yield {
        ...voteOf(row),
        previous: previous === hexOf(NONE) ? undefined : (previous as CheckpointId),
      }
    }
  }

  async *#votes(prefix: Uint8Array): AsyncIterable<Vote> {
    for await (const row of this.#db.keys(rangeOf(prefix))) {
      yield voteOf(row)
    }
  }
}

function voteOf(row: Uint8Array): Vote {
  const ids = row.subarray(DATASET_PREFIX_BYTES + ID_BYTES)
  return {
    id: hexOf(ids.subarray(0, ID_BYTES)) as CheckpointId,
    key: hexOf(ids.subarray(ID_BYTES, 2 * ID_BYTES)) as PublicKey,
  }
}

function before(previous: CheckpointId | undefined): Uint8Array {
  return previous === undefined ? NONE : hex(previous)
}

function decoded(bytes: Uint8Array): CheckpointBody {
  const body = bodyOf('cp', decodeRow(bytes))
  if (body.kind !== 'cp') throw new Error('not a vote')
  return body.checkpoint
}

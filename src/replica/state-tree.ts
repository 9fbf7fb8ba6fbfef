// The state tree: what it says of each object, in key order, so that memory is that of one path.
import type { CID } from 'multiformats/cid'
import type { ObjectId, Sha256 } from '../core/ids.ts'
import type { Rules } from '../core/rules.ts'
import { objectRecordOf } from '../core/snapshot.ts'
import { type TrieChange, updateTrie } from '../core/trie.ts'
import type { DatasetLog } from '../log/dataset-log.ts'
import { rowOfStored, type StoredObject } from '../log/object-table.ts'
import type { NodeWriter } from './node-writer.ts'

interface StateTreeNeeds {
  readonly sha256: Sha256
  readonly rules: Rules
}

/** An object as it is kept; without versions it is not in the tree. */
type Row = [ObjectId, StoredObject]

/** Rows that are in memory at one time. */
const ROWS_PER_READ = 256

/** The rows of objects, in the order given. */
export async function* rowsOf(log: DatasetLog, objects: readonly ObjectId[]): AsyncGenerator<Row> {
  for (let i = 0; i < objects.length; i += ROWS_PER_READ) {
    const ids = objects.slice(i, i + ROWS_PER_READ)
    const rows = await log.objectTable.stored(ids)
    for (const [k, id] of ids.entries()) yield [id, rows[k] as StoredObject]
  }
}

/** `rows` in the order of their ids, each once. @returns the root, whose nodes are on disk. */
export async function updateState(
  needs: StateTreeNeeds,
  writer: NodeWriter,
  root: CID | undefined,
  rows: AsyncIterable<Row>,
): Promise<CID> {
  const store = { source: writer, put: writer.put, sha256: needs.sha256 }
  const state = await updateTrie(root, recordsOf(needs, writer, rows), store, { sorted: true })
  await writer.flush()
  return state.root
}

async function* recordsOf(
  { rules, sha256 }: StateTreeNeeds,
  { put }: NodeWriter,
  rows: AsyncIterable<Row>,
): AsyncGenerator<TrieChange> {
  for await (const [id, stored] of rows) {
    const row = rowOfStored(id, stored, rules.objectRowOf)
    const isGone = stored.versions.length === 0
    yield { key: id, value: isGone ? undefined : await objectRecordOf(row, { put, sha256 }) }
  }
}

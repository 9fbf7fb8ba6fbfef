// What the API says of the node itself: its state, its peers and its users.
import { Type } from 'typebox'
import { DatasetInfo } from './dataset-shapes.ts'
import {
  bytes,
  count,
  flag,
  listOf,
  oneOf,
  optional,
  publicKey,
  type Shape,
  text,
  time,
  word,
} from './shape.ts'

export const NodeStatus = Type.Object({
  peerId: word,
  publicKey,
  multiaddrs: listOf(word),
  peers: count,
  daemon: flag,
  version: word,
  datasets: listOf(DatasetInfo),
})
export type NodeStatus = Shape<typeof NodeStatus>

export const PeerSummary = Type.Object({
  peerId: word,
  multiaddrs: listOf(word),
  direction: word,
  datasets: listOf(word),
})
export type PeerSummary = Shape<typeof PeerSummary>

export const Peers = Type.Object({ running: flag, peers: listOf(PeerSummary) })
export type Peers = Shape<typeof Peers>

/** How far this node is behind what it has heard of, dataset by dataset. */
export const SyncState = Type.Object({
  id: word,
  name: word,
  state: oneOf('idle', 'syncing', 'offline'),
  here: Type.Object({ events: count, files: count, bytes }),
  missing: Type.Object({ files: count, bytes }),
  peers: count,
})
export type SyncState = Shape<typeof SyncState>

export const Role = oneOf('reader', 'member', 'admin')
export type Role = Shape<typeof Role>

/** Somebody who may use this node over HTTP, with a signing key that the node holds. */
export const UserInfo = Type.Object({
  name: word,
  role: Role,
  publicKey,
  createdAt: time,
  removed: flag,
  locked: Type.Boolean({ description: 'Its signing key is sealed and no passphrase opened it' }),
})
export type UserInfo = Shape<typeof UserInfo>

export const UserWithKey = Type.Object({
  ...UserInfo.properties,
  apiKey: Type.String({ description: 'Shown once; the node keeps its hash only' }),
})
export type UserWithKey = Shape<typeof UserWithKey>

export const userFields = { name: text, role: optional(Role) }

/** Who asks: a user of this node, or the node itself (the token of its daemon). */
export const Me = Type.Object({ name: word, role: Role, publicKey })
export type Me = Shape<typeof Me>

export const backupFields = {
  directory: Type.String({
    minLength: 1,
    maxLength: 4_096,
    description: 'Absolute path on the machine of the node: new, or with an older backup of it',
  }),
  keys: optional(Type.Boolean({ description: 'With signing keys and users, as by default' })),
}

export const BackupResult = Type.Object({
  directory: word,
  at: Type.String({ description: 'The moment that the backup shows; RFC 3339, UTC' }),
  keys: flag,
  rows: Type.Integer({ minimum: 0, description: 'Of the database' }),
  blocks: Type.Object({
    count,
    bytes,
    added: Type.Integer({ minimum: 0, description: 'Those that an older backup there had not' }),
    missing: Type.Integer({
      minimum: 0,
      description: 'Those that this node should have and has not',
    }),
  }),
  datasets: listOf(
    Type.Object({
      id: word,
      name: word,
      root: optional(Type.String({ description: 'CID of the root at that moment' })),
    }),
  ),
})
export type BackupResult = Shape<typeof BackupResult>

export const Progress = Type.Object({
  what: Type.String({ description: 'What is being done: `adding`, `fetching files`, …' }),
  done: count,
  total: Type.Integer({ minimum: 0, description: '0 while it is unknown' }),
  bytes,
})
export type Progress = Shape<typeof Progress>

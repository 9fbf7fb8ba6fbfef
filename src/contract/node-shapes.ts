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
  positive,
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

export const Progress = Type.Object({
  what: Type.String({ description: 'What is being done: `adding`, `fetching files`, …' }),
  done: count,
  total: Type.Integer({ minimum: 0, description: '0 while it is unknown' }),
  bytes,
})
export type Progress = Shape<typeof Progress>

export const threshold = positive(64)

// The rows of the API's table about who decides: owners, the policy, checkpoints.
import type { NodeApi } from './api.ts'
import * as owners from './owner-shapes.ts'
import type { Route } from './route.ts'
import { optional, text } from './shape.ts'

const dataset = { dataset: text }
const D = '/datasets/:dataset'
const read = { method: 'GET', answer: 'value', role: 'reader', tag: 'datasets' } as const
const write = { method: 'POST', answer: 'value', role: 'admin', tag: 'datasets' } as const

export const ownerRoutes = {
  owners: {
    ...read,
    path: `${D}/owners`,
    args: ['dataset'],
    fields: dataset,
    returns: owners.Owners,
    summary: 'Owners in the order of their rank, and changes that wait for more of them',
  },
  addOwner: {
    ...write,
    path: `${D}/owners`,
    args: ['dataset', 'key', 'name'],
    fields: { ...dataset, key: owners.keyOrUser, name: optional(text) },
    returns: owners.OwnersChanged,
    summary: 'Makes a key an owner, or proposes it where several owners must agree',
  },
  removeOwner: {
    ...write,
    method: 'DELETE',
    path: `${D}/owners/:key`,
    args: ['dataset', 'key'],
    fields: { ...dataset, key: owners.keyOrUser },
    returns: owners.OwnersChanged,
    summary: 'Removes an owner, or proposes it where several owners must agree',
  },
  endorse: {
    ...write,
    path: `${D}/endorsements`,
    args: ['dataset', 'event'],
    fields: { ...dataset, event: text },
    returns: owners.Endorsed,
    summary: 'Agrees to a change of owners or of the policy that another owner has signed',
  },
  policy: {
    ...read,
    path: `${D}/policy`,
    args: ['dataset'],
    fields: dataset,
    returns: owners.PolicyInfo,
    summary: 'How many owners must agree to what',
  },
  setPolicy: {
    ...write,
    method: 'PUT',
    path: `${D}/policy`,
    args: ['dataset', 'reviews'],
    fields: { ...dataset, reviews: owners.threshold },
    returns: owners.PolicyChanged,
    summary: 'Changes how many owners must accept a change',
  },
  checkpoints: {
    ...read,
    path: `${D}/checkpoints`,
    args: ['dataset'],
    fields: dataset,
    returns: owners.Checkpoints,
    summary: 'Checkpoints: what is settled, and what waits for votes',
  },
  createCheckpoint: {
    ...write,
    path: `${D}/checkpoints`,
    status: 201,
    args: ['dataset'],
    fields: dataset,
    returns: owners.CheckpointVoted,
    summary: 'Proposes to settle all that is here now, and votes for it',
  },
  voteCheckpoint: {
    ...write,
    path: `${D}/checkpoints/:checkpoint/votes`,
    args: ['dataset', 'checkpoint'],
    fields: { ...dataset, checkpoint: text },
    returns: owners.CheckpointVoted,
    summary: 'Votes for a checkpoint that another owner has proposed',
  },
  trustCheckpoint: {
    ...write,
    method: 'PUT',
    path: `${D}/anchor`,
    args: ['dataset', 'checkpoint'],
    fields: { ...dataset, checkpoint: text },
    returns: owners.CheckpointInfo,
    summary: 'Makes a checkpoint the anchor of this node: the chain leads to it, votes or not',
  },
} as const satisfies Partial<Record<keyof NodeApi, Route>>

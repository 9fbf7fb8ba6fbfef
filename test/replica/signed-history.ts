// The random histories of test/reference with real ids and signatures: what a replica takes in.
import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { checkpointIdOf } from '../../src/core/checkpoint-id.ts'
import { isRejection } from '../../src/core/errors.ts'
import { decodeEvent, type Draft } from '../../src/core/event-codec.ts'
import type {
  CheckpointBody,
  Event,
  Genesis,
  Operation,
  OwnerEvent,
  Proposal,
} from '../../src/core/event.ts'
import {
  bytesOfHex,
  type CheckpointId,
  cidBytesOf,
  type DatasetId,
  type EventId,
  founderIndexOf,
  objectIdOf,
  type ObjectId,
  type PublicKey,
  type TenureId,
  type VersionId,
} from '../../src/core/ids.ts'
import type { Signer } from '../../src/ports.ts'
import { keyNamed, sha256 } from '../makers.ts'
import { type HistoryOptions, type RandomHistory, randomHistory } from '../reference/generator.ts'
import { blockOf, signerNamed } from '../signing.ts'

export interface SignedHistory {
  readonly genesis: Genesis
  /** Parents first. */
  readonly events: readonly Event[]
}

const NAMES = ['F', 'A', 'B', 'C', 'D', 'E', 'G', 'H', 'stranger']
const signers = new Map<PublicKey, Signer>(NAMES.map((name) => [keyNamed(name), signerNamed(name)]))

/** Kinds and versions that this version does not know. */
const UNKNOWN: readonly (readonly [kind: string, version: number])[] = [
  ['noop', 1],
  ['review', 2],
  ['remove', 2],
  ['rotate', 3],
]

export function signedHistory(
  seed: number,
  ownerEvents: number,
  options: HistoryOptions = {},
): SignedHistory {
  return signAll(randomHistory(seed, ownerEvents, options), seed)
}

export function decoded(block: Uint8Array): Event {
  const event = decodeEvent(block, sha256)
  if (isRejection(event)) throw new Error(`refused: ${event.what}`)
  return event
}

export function signerOfKey(key: PublicKey): Signer {
  const signer = signers.get(key)
  if (signer === undefined) throw new Error(`no signer has the key ${key}`)
  return signer
}

export function signAll(random: RandomHistory, seed: number): SignedHistory {
  const ids = new Map<string, EventId>()
  const objects = new Map<ObjectId, ObjectId>()
  const checkpoints = new Map<CheckpointId, CheckpointId>()
  const idOf = (id: string): EventId => ids.get(id) ?? withheldId(id)
  const keyOf = (key: PublicKey) => signerOfKey(key).publicKey
  const nonce = new Uint8Array(createHash('sha256').update(`nonce ${seed}`).digest()).slice(0, 16)
  const genesis = decoded(
    blockOf(
      {
        family: 'genesis',
        founders: random.genesis.founders.map(keyOf),
        kOwner: random.genesis.kOwner,
        kReview: random.genesis.kReview,
        nonce,
        claimedAtMs: 0,
      },
      signerOfKey(random.genesis.author),
    ),
  ) as Genesis
  ids.set(random.genesis.id, genesis.id)
  const versionOf = ({ proposal, index }: VersionId) => ({ proposal: idOf(proposal), index })
  const objectOf = (id: ObjectId) => objects.get(id) ?? id
  const events = random.events.map((event): Event => {
    const signed = decoded(blockFor(event))
    ids.set(event.id, signed.id)
    if (event.family === 'proposal') {
      for (let index = 0; index < event.operations.length; index++) {
        const [old, now] = [event, signed].map(({ id }) =>
          objectIdOf({ proposal: id, index }, sha256),
        )
        objects.set(old as ObjectId, now as ObjectId)
      }
    }
    return signed
  })
  return { genesis, events }

  function blockFor(event: Event): Uint8Array {
    const signer = signerOfKey(event.author)
    if (event.family === 'proposal') return blockOf(proposalDraft(event), signer)
    if (event.family === 'genesis') throw new Error('one genesis is enough')
    if (event.body.kind === 'unknown') return unknownBlock(event, signer)
    return blockOf(ownerDraft(event), signer)
  }

  function proposalDraft({ operations, id }: Proposal): Draft {
    return {
      family: 'proposal',
      dataset: genesis.id,
      operations: operations.map(operationOf),
      // The same operations proposed twice are two proposals.
      labels: { id },
      claimedAtMs: 0,
    }
  }

  function operationOf(operation: Operation): Operation {
    const object = 'object' in operation ? { object: objectOf(operation.object) } : {}
    const base = 'base' in operation ? { base: operation.base.map(versionOf) } : {}
    const value =
      'value' in operation && operation.value.type === 'annotation'
        ? {
            value: {
              ...operation.value,
              targets: operation.value.targets.map(versionOf),
              schema: versionOf(operation.value.schema),
            },
          }
        : {}
    return { ...operation, ...object, ...base, ...value } as Operation
  }

  function ownerDraft(event: OwnerEvent): Extract<Draft, { family: 'owner' }> {
    const { body } = event
    if (body.kind === 'unknown') throw new Error('this version cannot write it')
    const common = { ...envelopeOf(event), family: 'owner' as const, dataset: genesis.id }
    switch (body.kind) {
      case 'add':
      case 'remove':
        return { ...common, body: { ...body, key: keyOf(body.key) } }
      case 'review':
        return {
          ...common,
          body: {
            ...body,
            items: body.items.map((item) => ({ ...item, proposal: idOf(item.proposal) })),
          },
        }
      case 'endorse':
        return { ...common, body: { ...body, operation: idOf(body.operation) } }
      case 'policy':
        return { ...common, body }
      case 'cp':
        return { ...common, body: { kind: 'cp', checkpoint: checkpointOf(body.checkpoint) } }
      case 'release':
        return { ...common, body: { ...body, root: cidBytesOf(genesis.id) } }
    }
  }

  function checkpointOf(before: CheckpointBody): CheckpointBody {
    const { previous } = before
    const checkpoint = {
      ...before,
      ...(previous && { previous: checkpoints.get(previous) ?? previous }),
      heads: before.heads.map(idOf).sort(),
      without: before.without.map(idOf).sort(),
    }
    const [old, now] = [
      checkpointIdOf(random.genesis.id, before, sha256),
      checkpointIdOf(genesis.id, checkpoint, sha256),
    ]
    checkpoints.set(old, now)
    return checkpoint
  }

  function envelopeOf({ tenure, parents, depth, id }: OwnerEvent) {
    return {
      tenure: (founderIndexOf(tenure) === undefined ? idOf(tenure) : tenure) as TenureId,
      depth,
      parents: parents.map(idOf).sort(),
      labels: { id },
      claimedAtMs: 0,
    }
  }

  function unknownBlock(event: OwnerEvent, signer: Signer): Uint8Array {
    const [kind, version] = UNKNOWN[Number.parseInt(event.id.slice(0, 2), 16) % 4] as [
      string,
      number,
    ]
    return laterBlock(genesis.id, signer, { ...envelopeOf(event), kind, version, body: { any: 1 } })
  }
}

/** An owner event of a kind or version that this version cannot write, signed. */
export function laterBlock(
  dataset: DatasetId,
  signer: Signer,
  event: {
    kind: string
    version: number
    body: unknown
    tenure: TenureId
    depth: number
    parents: readonly EventId[]
    labels?: Record<string, string>
  },
): Uint8Array {
  const { kind, version, body, tenure, depth, parents, labels } = event
  const map = {
    v: version,
    k: kind,
    d: cidBytesOf(dataset),
    a: bytesOfHex(signer.publicKey),
    t: 0,
    b: body,
    w: founderIndexOf(tenure) ?? cidBytesOf(tenure as string as EventId),
    h: depth,
    s: [...parents].sort().map(cidBytesOf),
    ...(labels && { l: labels }),
  }
  const message = Buffer.concat([
    Buffer.from(`gonk-p2p/1\0${kind}\0`),
    cidBytesOf(dataset),
    sha256(dagCbor.encode(map)),
  ])
  return dagCbor.encode({ ...map, sig: signer.sign(message) })
}

/** A proposal that nobody has; ids are digests anyway. */
const withheldId = (id: string): EventId => id as EventId

// A proof is checked here by a small program of its own that knows only the format: dag-cbor, CIDs,
// Ed25519. It shares no code with what made the proof.
import { createHash, createPublicKey, verify } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { proof } from '../../src/api/history/proof.ts'
import type { Proof } from '../../src/contract/api.ts'
import type { Proposal } from '../../src/core/event.ts'
import { objectIdOf, textOfEventId } from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { makeNode, signerNamed, type TestDataset, type TestNode } from './make-node.ts'

const ada = signerNamed('ada')
const bob = signerNamed('bob')
const eve = signerNamed('eve')
let node: TestNode
let dataset: TestDataset

beforeEach(async () => {
  node = await makeNode()
  dataset = await node.createDataset('letters', [ada])
})
afterEach(() => node.close())

type Plain = Record<string, unknown>
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const text = ({ id }: Proposal, index = 0) => `${textOfEventId(id)}:${index}`

/** Throws unless the blocks alone show that the version is accepted, and that the root holds it. */
function check(given: Proof, root: CID, dataset: CID, proposal: CID, index: number): void {
  const blocks = new Map(given.blocks.map(({ cid, block }) => [cid, Buffer.from(block, 'base64')]))
  const bytesOf = (cid: CID): Uint8Array => {
    const bytes = blocks.get(cid.toString())
    if (bytes === undefined) throw new Error(`${cid} is not in the proof`)
    if (!digest(bytes).equals(cid.multihash.digest)) throw new Error(`${cid} is another block`)
    return bytes
  }
  const read = (cid: CID) => dagCbor.decode<Plain>(bytesOf(cid))
  const cidOf = (bytes: unknown) => CID.decode(bytes as Uint8Array)

  /** The fields of an event, once its signature is good. */
  const event = (cid: CID): Plain => {
    const { sig, ...fields } = read(cid)
    const parts = [
      Buffer.from(`gonk-p2p/1\0${String(fields['k'])}\0`),
      fields['d'] === null ? Buffer.alloc(0) : Buffer.from(fields['d'] as Uint8Array),
      digest(dagCbor.encode(fields)),
    ]
    const der = Buffer.concat([
      Buffer.from('302a300506032b6570032100', 'hex'),
      fields['a'] as Buffer,
    ])
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    if (!verify(null, Buffer.concat(parts), key, sig as Buffer)) throw new Error('bad signature')
    if (fields['d'] !== null && !cidOf(fields['d']).equals(dataset))
      throw new Error('other dataset')
    return fields
  }
  const isSame = (a: unknown, b: unknown) => Buffer.compare(a as Buffer, b as Buffer) === 0

  const { ops } = event(proposal)['b'] as { ops: Plain[] }
  if (ops[index] === undefined) throw new Error('no such operation')
  const snapshot = read(root)
  if (!cidOf(snapshot['d']).equals(dataset)) throw new Error('root of another dataset')
  const hexIndex = Buffer.alloc(4)
  hexIndex.writeUInt32BE(index)
  const created = Buffer.concat([Buffer.from('gonk/object\0'), proposal.multihash.digest, hexIndex])
  const object = (ops[index]['x'] as Uint8Array | undefined) ?? digest(created)

  // Down the tree by the digits of the object's id.
  let current = read(snapshot['stateRoot'] as CID)
  const digits = Buffer.from(object).toString('hex')
  for (let depth = 0; current['c'] !== undefined; depth++) {
    const child = (current['c'] as (CID | null)[])[Number.parseInt(digits[depth] as string, 16)]
    if (child === null || child === undefined) throw new Error('not in the tree')
    current = read(child)
  }
  const entries = current['e'] as [Uint8Array, Plain, CID?][]
  const entry = entries.find(([key]) => isSame(key, object))
  if (entry === undefined) throw new Error('not in the tree')
  const record = entry[2] === undefined ? entry[1] : read(entry[2])
  const versions = record['versions'] as { id: [Uint8Array, number]; at: Uint8Array }[]
  const found = versions.find(({ id }) => isSame(id[0], proposal.bytes) && id[1] === index)
  if (found === undefined) throw new Error('the state does not hold it')

  // The date ends with the digest of the review.
  const ids = [...blocks.keys()].map((cid) => CID.parse(cid))
  const review = ids.find((cid) => isSame(cid.multihash.digest, found.at.subarray(48)))
  if (review === undefined) throw new Error('the review is not in the proof')
  let signed = event(review)
  const { verdict, items } = signed['b'] as {
    verdict: string
    items: { p: Uint8Array; r?: [number, number][] }[]
  }
  const names = items.some(
    ({ p, r }) =>
      isSame(p, proposal.bytes) &&
      (r ?? [[0, 1e9]]).some(([a = 0, b = 0]) => a <= index && index <= b),
  )
  if (signed['k'] !== 'review' || verdict !== 'accept' || !names) throw new Error('not accepted')
  for (;;) {
    const tenure = signed['w']
    if (typeof tenure === 'number') {
      const { founders } = event(dataset)['b'] as { founders: Uint8Array[] }
      if (!isSame(founders[tenure], signed['a'])) throw new Error('not a founder')
      return
    }
    const add = event(cidOf(tenure))
    const { key } = add['b'] as { key: Uint8Array }
    if (add['k'] !== 'add' || !isSame(key, signed['a'])) throw new Error('never added')
    signed = add
  }
}

async function proven(ref: string) {
  const given = await proof(node, dataset.replica, ref)
  const { root } = await dataset.replica.snapshot()
  const genesis = CID.parse(textOfEventId(dataset.replica.id))
  const checkIt = (changed: Proof, proposal: Proposal, index = 0) =>
    check(changed, root, genesis, CID.parse(textOfEventId(proposal.id)), index)
  return { given, checkIt }
}

describe('a proof', () => {
  it('of what an added owner accepted is complete: every block of it is needed', async () => {
    const many = await Promise.all([...Array(80).keys()].map((i) => dataset.file(`f${i}`)))
    await dataset.add(ada, ...many)
    await dataset.replica.act(ada, { kind: 'add', key: bob.publicKey })
    const proposal = await dataset.create(eve, await dataset.file('a'), await dataset.file('b'))
    await dataset.accept(bob, proposal)
    const { given, checkIt } = await proven(text(proposal, 1))
    expect(given.steps.map(({ ok }) => ok)).toEqual(Array(7).fill(true))
    checkIt(given, proposal, 1)
    expect(() => checkIt(given, proposal, 2)).toThrow('no such operation')
    for (const [i, one] of given.blocks.entries()) {
      const bytes = Buffer.from(one.block, 'base64')
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
      const changed = { cid: one.cid, block: bytes.toString('base64') }
      expect(() =>
        checkIt({ ...given, blocks: given.blocks.with(i, changed) }, proposal, 1),
      ).toThrow()
      expect(() =>
        checkIt({ ...given, blocks: given.blocks.toSpliced(i, 1) }, proposal, 1),
      ).toThrow()
    }
  })

  it('of an object is that of its current version, also where its record is a block of its own', async () => {
    const create = await dataset.add(ada, await dataset.file('long'))
    const object = objectIdOf({ proposal: create.id, index: 0 }, sha256)
    let last = create
    for (let i = 0; i < 12; i++) {
      const value = { ...(await dataset.file(`long`)), meta: `"${'x'.repeat(1_000)}${i}"` }
      const base = [{ proposal: last.id, index: 0 }]
      last = await dataset.propose(ada, { op: 'update', object, base, value })
      await dataset.accept(ada, last)
    }
    const { given, checkIt } = await proven('long')
    expect(given.steps.every(({ ok }) => ok)).toBe(true)
    checkIt(given, last)
    expect((await proven(object)).given).toEqual(given)
  })

  it('ends at the step that does not hold', async () => {
    const pending = await dataset.create(eve, await dataset.file('pending'))
    const stepsOf = async (ref: string) =>
      (await proof(node, dataset.replica, ref)).steps.map(({ what, ok }) => [ok, what])
    expect(await stepsOf(text(pending))).toEqual([
      [true, `operation 0 of a proposal signed by ${eve.publicKey}`],
      [false, 'it is pending: no review accepts it'],
    ])
    expect(await stepsOf(text(pending, 1))).toEqual([[false, 'operation 1 of a proposal']])
    await expect(proof(node, dataset.replica, 'nothing')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('says so when a block on this node is damaged', async () => {
    const proposal = await dataset.add(ada, await dataset.file('a'))
    const { stateRoot } = await dataset.replica.snapshot()
    await node.nodes.put(stateRoot, Buffer.from('damaged'))
    const { steps } = await proof(node, dataset.replica, text(proposal))
    expect(steps.at(-1)?.ok).toBe(false)
  })
})

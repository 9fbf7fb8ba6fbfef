import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Draft } from '../../src/core/event-codec.ts'
import type { AnnotationValue, Operation } from '../../src/core/event.ts'
import {
  type DatasetId,
  type EventId,
  eventIdOfBlock,
  eventIdOfText,
  founderTenure,
  textOfEventId,
  type VersionId,
} from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { signDraft } from '../../src/replica/replica.ts'
import { signerNamed } from './make-node.ts'
import { openTestNode, type OpenTestNode } from './open-test-node.ts'

const eve = signerNamed('eve')
let node: OpenTestNode
let dataset: DatasetId
let now = 0

beforeEach(async () => {
  node = await openTestNode()
  const { id } = await node.api.createDataset({ name: 'cells' })
  dataset = eventIdOfText(id) as DatasetId
})
afterEach(() => node.close())

const base64 = (block: Uint8Array) => Buffer.from(block).toString('base64')
const idOf = (block: Uint8Array) => textOfEventId(eventIdOfBlock(block, sha256))
const submit = (...events: string[]) => node.api.submit('cells', events)

function proposal(...operations: Operation[]): Uint8Array {
  const draft: Draft = { family: 'proposal', dataset, operations, claimedAtMs: ++now }
  return signDraft(draft, eve, sha256)
}

/** Of content that nobody has. */
function file(name: string): Operation {
  const content = new Uint8Array(36)
  content.set([1, 0x55, 0x12, 0x20])
  return { op: 'create', value: { type: 'file', name, mediaType: 'a/b', sizeBytes: 1, content } }
}

function versionOf(text: string): VersionId {
  const [event = '', index] = text.split(':')
  return { proposal: eventIdOfText(event) as EventId, index: Number(index) }
}

/** Of one object, by a schema of texts. */
async function annotations<Texts extends string[]>(...texts: Texts) {
  const document = '{"type":"string"}'
  const { schema } = await node.api.addSchema('cells', { name: 'schema-label', document })
  const body = (async function* () {
    yield Buffer.from('x')
  })()
  const { objects } = await node.api.upload('cells', { name: 'a.txt' }, body)
  const values = texts.map((text): AnnotationValue => {
    const inline = new TextEncoder().encode(text)
    return {
      type: 'annotation',
      targets: [versionOf(objects[0]?.version ?? '')],
      schema: versionOf(schema.version),
      sizeBytes: inline.length,
      inline,
    }
  })
  return values as { [I in keyof Texts]: AnnotationValue }
}

describe('events signed elsewhere', () => {
  it('are stored as they are, once, under the key that signed them', async () => {
    const [one, two] = [proposal(file('one')), proposal(file('two'))]
    const stored = [idOf(one), idOf(two)]
    expect(await submit(base64(one), base64(two))).toEqual({ stored, known: 0, refused: [] })
    expect(await submit(base64(one), base64(one))).toEqual({ stored: [], known: 1, refused: [] })
    const { events } = await node.api.events({ dataset: 'cells', blocks: true })
    expect(events.slice(1)).toMatchObject([
      { event: stored[0], author: eve.publicKey, block: base64(one) },
      { event: stored[1], author: eve.publicKey, block: base64(two) },
    ])
  })

  it('that are bad are named by their place, and keep no other out', async () => {
    const good = proposal(file('good'))
    const forged = Uint8Array.from(proposal(file('forged')))
    forged[forged.length - 1] = (forged[forged.length - 1] as number) ^ 1
    const elsewhere = signDraft(
      {
        family: 'proposal',
        dataset: 'ab'.repeat(32) as DatasetId,
        operations: [file('x')],
        claimedAtMs: 1,
      },
      eve,
      sha256,
    )
    const loose = base64(good).replace(/=+$/, '')
    const texts = ['', '#', base64(forged), base64(good), base64(elsewhere), 'AAAA', `${loose}\n`]
    const { stored, known, refused } = await submit(...texts)
    expect([stored, known]).toEqual([[idOf(good)], 0])
    expect(refused.map(({ index, reason }) => [index, reason])).toEqual([
      [0, 'malformed'],
      [1, 'malformed'],
      [2, 'bad-signature'],
      [4, 'wrong-dataset'],
      [5, expect.any(String)],
      [6, 'malformed'],
    ])
  })

  it('by an owner cite what they build on', async () => {
    const { id } = await node.api.createDataset({ name: 'shared', founders: [eve.publicKey] })
    const genesis = eventIdOfText(id) as DatasetId
    const body = { kind: 'add' as const, key: signerNamed('bob').publicKey }
    const tenure = founderTenure(1)
    const base = { family: 'owner' as const, dataset: genesis, tenure, depth: 1, body }
    const sign = (parents: EventId[]) =>
      signDraft({ ...base, parents, claimedAtMs: ++now }, eve, sha256)
    const orphan = sign(['cd'.repeat(32) as EventId])
    const child = sign([genesis])
    const result = await node.api.submit('shared', [base64(orphan), base64(child)])
    expect(result).toMatchObject({
      stored: [idOf(child)],
      refused: [{ index: 0, reason: 'missing-parents' }],
    })
    expect((await node.api.owners('shared')).owners).toHaveLength(3)
  })

  it('must conform where schema and document are here, else none is stored', async () => {
    const [fine, number] = await annotations('"fine"', '5')
    const good = proposal({ op: 'create', value: fine })
    expect(await submit(base64(good))).toMatchObject({ stored: [idOf(good)] })
    const bad = proposal(file('x'), { op: 'create', value: number })
    const other = proposal(file('other'))
    await expect(submit(base64(other), base64(bad))).rejects.toMatchObject({
      code: 'NOT_CONFORMING',
      details: { index: 1, operation: 1 },
    })
    expect(await submit(base64(other))).toMatchObject({ stored: [idOf(other)] })
  })

  it('may name a schema that nobody has', async () => {
    const [value] = await annotations('5')
    const schema = { proposal: 'ef'.repeat(32) as EventId, index: 0 }
    const unknown = proposal({ op: 'create', value: { ...value, schema } })
    expect(await submit(base64(unknown))).toMatchObject({ stored: [idOf(unknown)], refused: [] })
  })

  it('whose signatures are bad are not looked at any further', async () => {
    const [value] = await annotations('5')
    const bad = Uint8Array.from(proposal({ op: 'create', value }))
    bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1
    const { refused } = await submit(base64(bad))
    expect(refused).toMatchObject([{ index: 0, reason: 'bad-signature' }])
  })
})

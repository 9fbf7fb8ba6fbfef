// Annotations and schemas made to hang a node that arrive from elsewhere, signed and well formed: who
// reviews them sees what they are, cannot accept them, and does everything else meanwhile.
import { CID } from 'multiformats/cid'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { QueueItem } from '../../src/contract/api.ts'
import { type Operation, SCHEMA_MEDIA_TYPE } from '../../src/core/event.ts'
import {
  type DatasetId,
  type EventId,
  eventIdOfBlock,
  eventIdOfText,
  textOfEventId,
  type VersionId,
} from '../../src/core/ids.ts'
import { sha256 } from '../../src/crypto.ts'
import { blockOf, signerNamed } from '../signing.ts'
import { type TestNode, until, World } from './daemon.ts'
import { annotating, eventOf, GONK, type Gonk, gonkOf, labelSchema, listOf, ok } from './gonk.ts'
import { askedMeanwhile, type HostileSchema, hostileSchemas } from './hostile-requests.ts'

/** Nothing here takes a tenth of it; a node that hangs takes it all. */
const ALIVE_SECONDS = 20
const D = '/datasets/cells'
const COSTLY = /^(TOO_COSTLY|BAD_SCHEMA)$/
const eve = signerNamed('eve')

let world: World
/** Owns the dataset. */
let a: TestNode
/** Where Eve gives her events to the network. */
let b: TestNode
let dataset: DatasetId
let olga: Gonk
let bird: { readonly uuid: string; readonly version: number }
let birdVersion: VersionId
let now = 0

beforeAll(async () => {
  world = await World.create()
  ;[a, b] = world.nodes('A', 'B')
  await Promise.all([a.start(GONK), b.start()])
  const { id, root } = await a.api.createDataset({ name: 'cells' })
  dataset = eventIdOfText(id) as DatasetId
  await b.api.clone({ ref: root, peers: [a.address] })
  const user = await a.user('olga')
  await a.api.addOwner('cells', user.publicKey)
  olga = gonkOf(a, user.apiKey)
  await a.api.addSchema('cells', { name: 'schema-label', document: labelSchema, accept: true })
  const body = async function* () {
    yield Buffer.from('a bird')
  }
  const { objects } = await a.api.upload('cells', { name: 'bird.txt', accept: true }, body())
  const [event = '', index] = (objects[0]?.version ?? '').split(':')
  birdVersion = { proposal: eventIdOfText(event) as EventId, index: Number(index) }
  ;[bird] = (await listOf(olga, `${D}/objects/accepted`)) as [typeof bird]
})

afterAll(() => world.close())

function signed(operation: Operation): { block: Uint8Array; id: EventId } {
  const draft = { family: 'proposal' as const, dataset, operations: [operation] }
  const block = blockOf({ ...draft, claimedAtMs: ++now }, eve)
  return { block, id: eventIdOfBlock(block, sha256) }
}

/** Gives a schema and an annotation by it to B. @returns their events. */
async function proposeHostile({ what, schema, document }: HostileSchema) {
  const name = `schema-${what.replaceAll(' ', '-')}`
  const body = async function* () {
    yield Buffer.from(schema(name))
  }
  const { cid, size } = await b.api.store(body())
  const ofSchema = signed({
    op: 'create',
    value: {
      ...{ type: 'file', name, mediaType: SCHEMA_MEDIA_TYPE, sizeBytes: size },
      content: CID.parse(cid).bytes,
    },
  })
  const inline = new TextEncoder().encode(document)
  const ofAnnotation = signed({
    op: 'create',
    value: {
      ...{ type: 'annotation', targets: [birdVersion], sizeBytes: inline.length, inline },
      schema: { proposal: ofSchema.id, index: 0 },
    },
  })
  // While its schema is not there, nobody can say what an annotation by it costs.
  for (const { block, id } of [ofAnnotation, ofSchema]) {
    const { stored } = await b.api.submit('cells', [Buffer.from(block).toString('base64')])
    expect(stored).toEqual([textOfEventId(id)])
  }
  return [textOfEventId(ofSchema.id), textOfEventId(ofAnnotation.id)] as const
}

/** What owners and users of A go on doing. */
const innocent = () => ({
  health: async () => expect((await fetch(`${a.daemon.ready.url}/healthz`)).status).toBe(200),
  list: async () => expect(await ok(olga, 'GET', `${D}/objects`)).toHaveLength(1),
  annotate: () => ok(olga, 'POST', `${D}/annotations`, annotating(bird, { label: 'bird' })),
})

async function meanwhileAlive<T>(work: Promise<T>): Promise<T> {
  const { value, waited } = await askedMeanwhile(work, innocent())
  expect(Math.max(...Object.values(waited).flat())).toBeLessThan(ALIVE_SECONDS)
  return value
}

// Of the others, the schemas themselves are what is costly.
describe.each(hostileSchemas.slice(0, 2))('$what', (hostile) => {
  it('is seen for what it is and not accepted, through any door', async () => {
    const [schema, annotation] = await proposeHostile(hostile)
    const itemOf = async (event: string): Promise<QueueItem | undefined> => {
      const { items } = await a.api.queue('cells', { author: eve.publicKey })
      return items.find(({ proposal }) => proposal === event)
    }
    await until('A has the schema', async () => (await itemOf(schema))?.here)
    await until('A has the annotation', () => itemOf(annotation))

    // A page waits a moment for what is costly, and knows it when it is asked again.
    const list = () =>
      a.json<QueueItem[]>('review', 'list', 'cells', '--items', '--author', eve.publicKey)
    const invalid = until('it is known not to conform', async () => {
      const item = (await list()).find(({ proposal }) => proposal === annotation)
      return item?.validity.status === 'invalid' ? item : undefined
    })
    const item = await meanwhileAlive(invalid)
    expect(item.validity.code).toMatch(COSTLY)
    expect(item.canAccept).toBe(false)

    const accepting = a.run('review', 'accept', 'cells', annotation)
    const { status, stdout } = await meanwhileAlive(accepting)
    expect(status).toBe(1)
    expect(JSON.parse(stdout).error.code).toMatch(COSTLY)

    const told = (await listOf(olga, `${D}/annotations/pending`)) as (typeof bird)[]
    const events = await Promise.all(
      told.map(({ uuid, version }) => ok(olga, 'GET', `${D}/annotations/${uuid}/${version}`)),
    )
    const found = events.find(
      ({ bytes }) => bytes === Buffer.from(hostile.document).toString('base64'),
    )
    const uuid = found.annotation.uuid as string
    const event = await eventOf(olga, `${D}/annotations/${uuid}/0`)
    const answer = await meanwhileAlive(olga('PUT', `${D}/events/${event}/accept`))
    expect(answer).toMatchObject({ status: 500, body: { error: expect.anything() } })

    // Rejecting costs nothing, and is the end of it.
    await meanwhileAlive(a.json('review', 'reject', 'cells', annotation, schema))
    expect(await itemOf(annotation)).toBe(undefined)
    expect(a.daemon.complaints()).toEqual([])
  })
})

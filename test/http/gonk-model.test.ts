// Random calls on a dataset with one owner: every answer, every status and the line of events are
// those of the plain model of Gonk.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Broken, GonkModel, type Kind } from '../reference/gonk-model.ts'
import {
  anObject,
  type Answer,
  type Ask,
  base64,
  type GonkServer,
  serveGonk,
} from './gonk-server.ts'

let server: GonkServer
let owner: Ask
let other: Ask
let count = 0

beforeAll(async () => {
  server = await serveGonk()
  owner = await server.user('owner')
  other = await server.user('other')
})
afterAll(() => server.close())

const nat = fc.nat({ max: 3 })
/** What objects and schemas hold: all are schemas, so that they can be of both. */
const contents = [...Array(9).keys()].map((n) =>
  JSON.stringify({ minProperties: 0, title: `${n}` }),
)
const content = fc.constantFrom(...contents)
const call = fc.oneof(
  fc.record({ do: fc.constant('createObject'), content }),
  fc.record({ do: fc.constant('updateObject'), thing: nat, content }),
  fc.record({
    do: fc.constant('createSchema'),
    name: fc.constantFrom('schema-a', 'schema-b'),
    content,
  }),
  fc.record({ do: fc.constant('updateSchema'), thing: nat, content }),
  fc.record({
    do: fc.constant('annotate'),
    schema: nat,
    targets: fc.array(fc.tuple(nat, fc.nat({ max: 1 })), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ do: fc.constant('updateAnnotation'), thing: nat, schema: nat }),
  fc.record({ do: fc.constant('remove'), thing: nat, version: fc.nat({ max: 1 }) }),
  fc.record({ do: fc.constant('remove'), thing: nat, version: fc.nat({ max: 2 }) }),
  ...Array.from({ length: 4 }, () =>
    fc.record({
      do: fc.constant('review'),
      event: fc.oneof(fc.nat({ max: 2 }), fc.nat({ max: 2 }), fc.nat({ max: 99 })),
      verdict: fc.constantFrom('accept' as const, 'reject' as const),
      isOwner: fc.nat({ max: 9 }).map((n) => n > 0),
    }),
  ),
)
type Call = typeof call extends fc.Arbitrary<infer T> ? T : never

/** One dataset, in the model and behind the server. */
class Pair {
  readonly model = new GonkModel()
  readonly uuids: string[] = []
  readonly #path: string

  constructor(dataset: string) {
    this.#path = `/datasets/${dataset}`
  }

  of(kind: Kind): number[] {
    return this.model.things.flatMap((thing, i) => (thing.kind === kind ? [i] : []))
  }

  async compare(method: string, path: string, body: unknown, say: () => unknown, ask = owner) {
    let broken: string | undefined
    let result: unknown
    try {
      result = say()
    } catch (error) {
      if (!(error instanceof Broken)) throw error
      broken = error.message.replace(/#(\d+)/, (_, i: string) => this.uuids[Number(i)] ?? '?')
    }
    const answer = await ask(method, this.#path + path, body)
    if (broken === undefined) expect(answer).toMatchObject({ status: 200 })
    else {
      const error = { ValidationError: broken }
      expect(answer).toMatchObject({ status: 500, body: { error } })
    }
    return { result, body: answer.body as Answer['body'], isBroken: broken !== undefined }
  }

  async create(path: string, body: unknown, say: () => number): Promise<void> {
    const { result, body: made, isBroken } = await this.compare('POST', path, body, say)
    if (!isBroken) this.uuids[result as number] = made.uuid
  }

  /** All pages of a listing. */
  async all(path: string): Promise<Answer['body']> {
    const items: unknown[] = []
    for (let next: string | undefined = this.#path + path; next !== undefined;) {
      const { body, headers, status } = await owner('GET', next)
      expect(status).toBe(200)
      items.push(...body)
      next = /<([^>]+)>/.exec(headers.get('link') ?? '')?.[1]
    }
    return items
  }

  async statusesAgree(): Promise<void> {
    for (const kind of ['object', 'schema', 'annotation'] as const) {
      for (const status of ['accepted', 'pending', 'rejected', 'deleted'] as const) {
        const word = kind === 'schema' && status === 'deleted' ? 'deprecated' : status
        const listed = await this.all(`/${kind}s/${word}`)
        const expected = this.model.listed(kind, status).map(([thing, version]) => {
          return { uuid: this.uuids[thing], version }
        })
        expect(listed, `${kind}s ${word}`).toMatchObject(expected)
        expect(listed).toHaveLength(expected.length)
      }
    }
  }

  async linesAgree(): Promise<void> {
    const events = await this.all('/events')
    const types = this.model.events.map(({ type }) => type)
    expect(events.map((event: { type: string }) => event.type)).toEqual(types)
    for (const { thing, version, events: numbers } of this.model.versions) {
      const { kind, name } = this.model.things[thing] as { kind: Kind; name: string }
      const id = kind === 'schema' ? name : this.uuids[thing]
      const { body } = await owner('GET', `${this.#path}/${kind}s/${id}/${version}`)
      const mentioned = numbers.map((number) => {
        const { type, review } = this.model.events[number] as { type: string; review: unknown }
        return { uuid: events[number].uuid, type, review }
      })
      expect(body.events).toEqual(mentioned)
    }
  }

  async perform(one: Call): Promise<void> {
    const { model } = this
    const pick = (kind: Kind, n: number) => this.of(kind)[n % Math.max(1, this.of(kind).length)]
    if (one.do === 'createObject' && 'content' in one) {
      const body = anObject('a name', one.content, 'text/plain')
      return this.create('/objects', body, () => model.createObject('a name', one.content))
    }
    if ('name' in one) {
      const body = { name: one.name, schema: base64(one.content) }
      return this.create('/schemas', body, () => model.createSchema(one.name, one.content))
    }
    if ('verdict' in one) return this.review(one)
    if ('targets' in one) return this.annotate(one)
    if (!('thing' in one)) return
    if ('version' in one) return this.remove(one.thing, one.version)
    if ('schema' in one) {
      const thing = pick('annotation', one.thing)
      const schema = this.schema(pick('schema', one.schema))
      if (thing === undefined || schema === undefined) return
      const path = `/annotations/${this.uuids[thing]}`
      const body = { schema, annotation: base64('{}') }
      await this.compare('PATCH', path, body, () => model.updateAnnotation(thing, '{}'))
    } else if (one.do === 'updateObject') {
      const thing = pick('object', one.thing)
      if (thing === undefined) return
      const body = anObject('new', one.content)
      const say = () => model.updateObject(thing, 'new', one.content)
      await this.compare('PATCH', `/objects/${this.uuids[thing]}`, body, say)
    } else {
      const thing = pick('schema', one.thing)
      if (thing === undefined) return
      const path = `/schemas/${model.things[thing]?.name}`
      const body = { schema: base64(one.content) }
      await this.compare('PATCH', path, body, () => model.updateSchema(thing, one.content))
    }
  }

  /** A schema that a `{}` conforms to: all of them but none. */
  schema(thing: number | undefined) {
    const found = thing === undefined ? undefined : this.model.things[thing]
    return found && { name: found.name, version: found.versions - 1 }
  }

  async annotate(one: { schema: number; targets: [number, number][] }): Promise<void> {
    const schemas = this.of('schema')
    const schema = this.schema(schemas[one.schema % Math.max(1, schemas.length)])
    const targets = one.targets.filter(([thing]) => thing < this.uuids.length)
    if (schema === undefined || targets.length === 0) return
    const identifiers = targets.map(([thing, version]) => ({ uuid: this.uuids[thing], version }))
    const body = { schema, object_identifiers: identifiers, annotation: base64('{}') }
    await this.create('/annotations', body, () => this.model.createAnnotation(targets, '{}'))
  }

  async remove(number: number, version: number): Promise<void> {
    const thing = number % Math.max(1, this.model.things.length)
    const found = this.model.things[thing]
    if (found === undefined || version >= found.versions) return
    const id = found.kind === 'schema' ? found.name : this.uuids[thing]
    const path = `/${found.kind}s/${id}/${version}`
    await this.compare('DELETE', path, undefined, () => this.model.remove(thing, version))
  }

  async review(one: { event: number; verdict: 'accept' | 'reject'; isOwner: boolean }) {
    const { verdict, isOwner } = one
    const { events } = this.model
    const pending = [...events.keys()].filter((i) => events[i]?.review === 'PENDING')
    // Now and then one that is decided, or is not there.
    const event = pending[one.event] ?? one.event % (events.length + 1)
    const uuid = (await this.all('/events'))[event]?.uuid ?? '00112233-4455-4677-8899-aabbccddeeff'
    const path = `/events/${uuid}/${verdict}`
    const say = () => this.model.review(event, verdict, isOwner)
    await this.compare('PUT', path, undefined, say, isOwner ? owner : other)
  }
}

test('T1: random calls have the answers, the statuses and the events of the plain model', async () => {
  const calls = fc.array(call, { minLength: 15, maxLength: 50 })
  await fc.assert(
    fc.asyncProperty(calls, async (list) => {
      const dataset = `d${count++}`
      expect(await owner('POST', '/datasets', { name: dataset })).toMatchObject({ status: 200 })
      const pair = new Pair(dataset)
      for (const one of list) await pair.perform(one)
      await pair.statusesAgree()
      await pair.linesAgree()
    }),
    { numRuns: 25, interruptAfterTimeLimit: 45_000 },
  )
}, 60_000)

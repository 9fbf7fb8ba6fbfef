// Gonk's rules and statuses as plainly as they can be written: one list of events, one list of versions
// with marks, every rule a sentence. Things are known by number, in the order of their making.

export type Kind = 'object' | 'schema' | 'annotation'
export type Mark = 'CREATE_PENDING' | 'CREATE_REJECTED' | 'DELETE_PENDING' | 'DELETE_ACCEPTED'
export type Verdict = 'accept' | 'reject'

interface Version {
  readonly thing: number
  readonly version: number
  readonly content: string
  readonly marks: Set<Mark>
  /** Numbers of the events about it. */
  readonly events: number[]
}

interface Thing {
  readonly kind: Kind
  name: string
  readonly targets: readonly (readonly [thing: number, version: number])[]
  versions: number
}

interface ModelEvent {
  readonly type: string
  /** What a review of it changes: the version, by its creation or by its deletion. */
  readonly about?: { readonly version: Version; readonly by: 'create' | 'delete' }
  review: 'PENDING' | 'ACCEPTED' | 'REJECTED' | null
}

/** A rule that was broken. Text has `#N` for the uuid of thing N. */
export class Broken extends Error {}

const fail = (text: string): never => {
  throw new Broken(text)
}

export class GonkModel {
  readonly things: Thing[] = []
  readonly versions: Version[] = []
  readonly events: ModelEvent[] = [{ type: 'OwnerAddEvent', review: null }]

  createObject(name: string, content: string): number {
    this.#noDuplicate(content)
    return this.#create({ kind: 'object', name, targets: [], versions: 0 }, content)
  }

  updateObject(thing: number, name: string, content: string): number {
    const found = this.#thing(thing)
    this.#noDuplicate(content, thing)
    if (this.#latest(thing).content === content) fail('object hash unchanged')
    found.name = name
    return this.#addVersion(thing, content, 'ObjectUpdateEvent')
  }

  createSchema(name: string, content: string): number {
    const isTaken = this.things.some((thing) => thing.kind === 'schema' && thing.name === name)
    if (isTaken) fail('schema name already in use')
    this.#noDuplicate(content)
    return this.#create({ kind: 'schema', name, targets: [], versions: 0 }, content)
  }

  updateSchema(thing: number, content: string): number {
    return this.updateObject(thing, this.#thing(thing).name, content)
  }

  createAnnotation(targets: readonly (readonly [number, number])[], content: string): number {
    const unique = targets.filter(
      ([thing, version], i) => targets.findIndex(([t, v]) => t === thing && v === version) === i,
    )
    for (const [thing, number] of unique) {
      const version = this.find(thing, number)
      if (version === undefined || this.#thing(thing).kind === 'annotation') {
        fail('object identifier not found')
      }
      if (version?.marks.has('CREATE_REJECTED')) fail('rejected objects cannot be annotated')
      if (version?.marks.has('DELETE_ACCEPTED')) fail('deleted objects cannot be annotated')
      if (this.#thing(thing).kind === 'schema') fail('schemas can not be annotated')
    }
    return this.#create({ kind: 'annotation', name: '', targets: unique, versions: 0 }, content)
  }

  updateAnnotation(thing: number, content: string): number {
    return this.#addVersion(thing, content, 'AnnotationUpdateEvent')
  }

  remove(thing: number, number: number): void {
    const version = this.find(thing, number) ?? fail('there is no such version')
    const isAnnotation = this.#thing(thing).kind === 'annotation'
    const { marks } = version
    if (marks.has('CREATE_REJECTED')) {
      fail(isAnnotation ? 'cannot delete a rejected annotation' : 'cannot delete a rejected object')
    }
    if (marks.has('DELETE_PENDING')) {
      fail(isAnnotation ? 'annotation already pending deletion' : 'object version pending deletion')
    }
    if (marks.has('DELETE_ACCEPTED')) {
      fail(isAnnotation ? 'annotation already deleted' : 'object version already deleted')
    }
    marks.add('DELETE_PENDING')
    const type = isAnnotation ? 'AnnotationDeleteEvent' : 'ObjectDeleteEvent'
    this.#say({ type, about: { version, by: 'delete' }, review: 'PENDING' }, version)
  }

  review(event: number, verdict: Verdict, isOwner: boolean): void {
    const target = this.events[event] ?? fail('no events with event UUID found')
    if (target.review !== null && target.review !== 'PENDING') fail('event already reviewed')
    const about = target.about ?? fail('review on non object or annotation event')
    if (!isOwner) fail('review event from non-owner')
    const { marks } = about.version
    target.review = verdict === 'accept' ? 'ACCEPTED' : 'REJECTED'
    if (about.by === 'create') {
      marks.delete('CREATE_PENDING')
      if (verdict === 'reject') marks.add('CREATE_REJECTED')
    } else {
      marks.delete('DELETE_PENDING')
      if (verdict === 'accept') marks.add('DELETE_ACCEPTED')
    }
    const type = verdict === 'accept' ? 'ReviewAcceptEvent' : 'ReviewRejectEvent'
    this.#say({ type, review: null }, about.version)
  }

  find(thing: number, version: number): Version | undefined {
    return this.versions.find((one) => one.thing === thing && one.version === version)
  }

  /** Versions of a kind that a listing shows, in the order of their making. */
  listed(kind: Kind, status: 'accepted' | 'pending' | 'rejected' | 'deleted'): [number, number][] {
    const shows = ({ marks }: Version) => {
      if (status === 'rejected') return marks.has('CREATE_REJECTED')
      if (status === 'deleted') return marks.has('DELETE_ACCEPTED')
      if (status === 'pending') return marks.has('CREATE_PENDING') || marks.has('DELETE_PENDING')
      const hiding = ['CREATE_PENDING', 'CREATE_REJECTED', 'DELETE_ACCEPTED'] as const
      return !hiding.some((mark) => marks.has(mark))
    }
    return this.versions
      .filter((version) => this.#thing(version.thing).kind === kind && shows(version))
      .map(({ thing, version }) => [thing, version])
  }

  #create(thing: Thing, content: string): number {
    this.things.push(thing)
    const number = this.things.length - 1
    const noun = thing.kind === 'annotation' ? 'Annotation' : 'Object'
    this.#addVersion(number, content, `${noun}CreateEvent`)
    return number
  }

  #addVersion(number: number, content: string, type: string): number {
    const thing = this.#thing(number)
    const marks = new Set<Mark>(['CREATE_PENDING'])
    const version = { thing: number, version: thing.versions++, content, marks, events: [] }
    this.versions.push(version)
    this.#say({ type, about: { version, by: 'create' }, review: 'PENDING' }, version)
    return version.version
  }

  #say(event: ModelEvent, version: Version): void {
    this.events.push(event)
    version.events.push(this.events.length - 1)
  }

  #thing(number: number): Thing {
    return this.things[number] ?? fail(`there is no thing ${number}`)
  }

  #latest(thing: number): Version {
    const { versions } = this.#thing(thing)
    return this.find(thing, versions - 1) ?? fail('there is no version')
  }

  /** Annotations share no space of hashes with the others. */
  #noDuplicate(content: string, except?: number): void {
    const other = this.versions.find(
      ({ thing, content: held }) =>
        held === content && thing !== except && this.#thing(thing).kind !== 'annotation',
    )
    if (other) fail(`duplicate hash detected in object #${other.thing}:${other.version}`)
  }
}

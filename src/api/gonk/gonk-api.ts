// GonkApi over the context of one user.
import { GonkError } from '../../core/errors.ts'
import type { NodeContext } from '../context.ts'
import {
  createAnnotation,
  createObject,
  createSchema,
  removeVersion,
  updateAnnotation,
  updateObject,
  updateSchema,
} from './changing.ts'
import { addOwner, removeOwner } from './owning.ts'
import {
  annotationsOf,
  bytesOf,
  detailsOf,
  listEvents,
  listSchemas,
  listThings,
  listWith,
  owners,
  schemaSummary,
} from './reading.ts'
import { review } from './reviewing.ts'
import type { GonkAnnotation, GonkApi, GonkObject, SchemaReference } from './types.ts'
import { type FoundVersion, type View, type Views } from './view.ts'

/** The longest name of a dataset. */
const NAME_CHARACTERS_MAX = 100
const NOUNS = { object: 'Object', annotation: 'Annotation' } as const

export interface GonkNeeds {
  readonly views: Views
  /** Makes a dataset whose first owner is the user. Throws EXISTS. */
  readonly createDataset: (request: { name: string }) => Promise<unknown>
}

export function createGonkApi(context: NodeContext, needs: GonkNeeds): GonkApi {
  const { views } = needs
  const open = (dataset: string): Promise<View> => views.open(dataset)
  /** Told up to what is stored. */
  const read = async (dataset: string): Promise<View> => {
    const view = await open(dataset)
    await view.current()
    return view
  }
  /** Told, but for what came just now. */
  const ready = async (dataset: string): Promise<View> => {
    const view = await open(dataset)
    if (view.isFarBehind) await view.current()
    return view
  }
  return {
    createDataset: (name) => createDataset(needs, name),
    listDatasets: async () => context.catalog.list().map((entry) => entry.name),

    owners: async (dataset) => owners(context, await open(dataset)),
    addOwner: async (dataset, user) => addOwner(context, await open(dataset), user),
    removeOwner: async (dataset, user) => removeOwner(context, await open(dataset), user),

    ...schemaMethods(context, read),
    ...objectMethods(context, read, ready),
    ...annotationMethods(context, read),

    bytes: (value, options) => bytesOf(context, value, options),
    list: async (dataset, kind, after) => listThings(await read(dataset), kind, after),
    async summary(dataset, kind, text) {
      // Gonk calls everything a schema here.
      const { uuid, thing } = await (await read(dataset)).find(kind, text, 'Schema')
      return { uuid, versions: thing.versions }
    },
    listWith: async (dataset, kind, status, cursor) =>
      listWith(await read(dataset), kind, status, cursor),
    async remove(dataset, kind, { uuid, version }) {
      const view = await read(dataset)
      const found = await view.find(kind, uuid, NOUNS[kind])
      return removeVersion(context, view, await view.versionOf(found, version, NOUNS[kind]))
    },

    events: async (dataset, after) => listEvents(await read(dataset), after),
    review: async (dataset, event, verdict) =>
      review(context, await ready(dataset), event, verdict),
  }
}

async function createDataset(
  { createDataset: create }: GonkNeeds,
  name: string,
): Promise<{ dataset: string }> {
  if (name === '') throw new GonkError('USAGE', 'Dataset name is empty.')
  if (!/^[A-Za-z0-9-]*$/.test(name)) {
    throw new GonkError('USAGE', 'Only letters, numbers, and dashes (-) allowed.')
  }
  if (name.startsWith('-')) throw new GonkError('USAGE', 'Names may not start with a dash.')
  if (name.length > NAME_CHARACTERS_MAX) {
    throw new GonkError('USAGE', `Names have at most ${NAME_CHARACTERS_MAX} characters.`)
  }
  await create({ name }).catch((error: unknown) => {
    if (!(error instanceof GonkError) || error.code !== 'EXISTS') throw error
    throw new GonkError('USAGE', 'Dataset already exists.')
  })
  return { dataset: name }
}

type Read = (dataset: string) => Promise<View>

type SchemaMethods = Pick<
  GonkApi,
  | 'createSchema'
  | 'updateSchema'
  | 'listSchemas'
  | 'showSchema'
  | 'schemasWith'
  | 'showSchemaVersion'
  | 'deprecateSchema'
>

function schemaMethods(context: NodeContext, read: Read): SchemaMethods {
  return {
    async createSchema(dataset, name, schema) {
      const view = await read(dataset)
      const { uuid } = await createSchema(context, view, name, schema)
      await view.catchUp()
      return schemaSummary(view.log, uuid)
    },
    async updateSchema(dataset, name, schema) {
      const view = await read(dataset)
      const { uuid } = await updateSchema(context, view, await view.findSchema(name), schema)
      return schemaSummary(view.log, uuid)
    },
    listSchemas: async (dataset) => listSchemas(await read(dataset)),
    async showSchema(dataset, name) {
      const view = await read(dataset)
      return schemaSummary(view.log, (await view.findSchema(name)).uuid)
    },
    async schemasWith(dataset, status, cursor) {
      const view = await read(dataset)
      const page = await listWith(view, 'schema', status, cursor)
      const items = page.items.map(async ({ uuid, version }) => {
        return { uuid, version, name: (await view.log.thing(uuid))?.name ?? '' }
      })
      return { ...page, items: await Promise.all(items) }
    },
    async showSchemaVersion(dataset, schema) {
      const view = await read(dataset)
      const found = await schemaVersion(view, schema)
      const details = await detailsOf(view, found)
      return { schema: found.row.body as unknown as GonkObject, ...details }
    },
    async deprecateSchema(dataset, schema) {
      const view = await read(dataset)
      const found = await schemaVersion(view, schema)
      const { uuid, version } = await removeVersion(context, view, found)
      return { uuid, version, name: found.thing.name ?? '' }
    },
  }
}

async function schemaVersion(
  view: View,
  { name, version }: SchemaReference,
): Promise<FoundVersion> {
  return view.versionOf(await view.findSchema(name), version, 'Schema')
}

function objectMethods(
  context: NodeContext,
  read: Read,
  ready: Read,
): Pick<GonkApi, 'createObject' | 'updateObject' | 'showObject'> {
  return {
    createObject: async (dataset, request) => createObject(context, await ready(dataset), request),
    async updateObject(dataset, uuid, request) {
      const view = await read(dataset)
      return updateObject(context, view, await view.find('object', uuid, 'Object'), request)
    },
    async showObject(dataset, { uuid, version }) {
      const view = await read(dataset)
      const thing = await view.find('object', uuid, 'Object')
      const found = await view.versionOf(thing, version, 'Object')
      return {
        object: found.row.body as unknown as GonkObject,
        ...(await detailsOf(view, found)),
        annotations: await annotationsOf(view, found.place),
      }
    },
  }
}

function annotationMethods(
  context: NodeContext,
  read: Read,
): Pick<GonkApi, 'createAnnotation' | 'updateAnnotation' | 'showAnnotation'> {
  return {
    async createAnnotation(dataset, request) {
      const view = await read(dataset)
      return createAnnotation(context, view, await schemaVersion(view, request.schema), request)
    },
    async updateAnnotation(dataset, uuid, { schema, annotation }) {
      const view = await read(dataset)
      const by = await schemaVersion(view, schema)
      const found = await view.find('annotation', uuid, 'Annotation')
      return updateAnnotation(context, view, found, by, annotation)
    },
    async showAnnotation(dataset, { uuid, version }) {
      const view = await read(dataset)
      const thing = await view.find('annotation', uuid, 'Annotation')
      const found = await view.versionOf(thing, version, 'Annotation')
      return {
        annotation: found.row.body as unknown as GonkAnnotation,
        ...(await detailsOf(view, found)),
        objects: found.thing.targets ?? [],
      }
    },
  }
}

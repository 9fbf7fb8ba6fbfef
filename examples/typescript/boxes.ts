// From an image to a release of an annotated dataset, with the client of the package:
//
//   npm install gonk-node
//   GONK_API_KEY=gk_… node boxes.ts [IMAGE]
//
// GONK_URL: where the node is (http://127.0.0.1:5050). GONK_DATASET: the dataset, made if it is not there.
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createClient, GonkError } from 'gonk-node/client'

const {
  GONK_URL = 'http://127.0.0.1:5050',
  GONK_API_KEY = '',
  GONK_DATASET = 'boxes',
} = process.env
const imagePath = process.argv[2] ?? new URL('../street.png', import.meta.url)
// Names and tags are taken for good, so each run has its own.
const run = new Date().toISOString().replaceAll(/\D/g, '')
const dataset = GONK_DATASET
const gonk = createClient({ url: GONK_URL, apiKey: GONK_API_KEY })

/** What a call gives, or undefined when it fails with this code. */
async function unless<T>(code: string, call: Promise<T>): Promise<T | undefined> {
  return call.catch((error: unknown) => {
    if (error instanceof GonkError && error.code === code) return undefined
    throw error
  })
}

/** Signs an acceptance of these versions with the key of whoever asks, who must be an owner. */
async function accept(versions: readonly string[]): Promise<void> {
  const items = versions.map((item) => ({ item }))
  const { results } = await gonk.decide(dataset, { decisions: [{ verdict: 'accept', items }] })
  const failed = results.find(
    ({ outcome }) => outcome !== 'decided' && outcome !== 'alreadyDecided',
  )
  if (failed) throw new Error(`${failed.item}: ${failed.outcome} ${failed.what ?? ''}`)
}

const me = await gonk.me()
console.log(`I am ${me.name} (${me.role})`)

const made = await unless('EXISTS', gonk.createDataset({ name: dataset }))
console.log(`dataset ${dataset}${made ? ` made: ${made.id}` : ' was there'}`)

const name = `images/${run}.png`
const uploaded = await gonk.upload(
  dataset,
  { name, mediaType: 'image/png' },
  createReadStream(imagePath),
)
const [object] = uploaded.objects
if (object === undefined) throw new Error(`${name} is there already`)
console.log(`proposed ${name}: ${object.size} bytes, ${object.cid}`)

const known = await unless('NOT_FOUND', gonk.showSchema(dataset, 'schema-boxes'))
if (known === undefined) {
  const boxes = (await gonk.commonSchemas()).find((schema) => schema.name === 'schema-boxes')
  if (boxes === undefined) throw new Error('this node comes without schema-boxes')
  const { name, document } = boxes
  const { schema } = await gonk.addSchema(dataset, { name, document })
  await accept([schema.version])
  console.log(`added ${schema.name}`)
}

const annotated = await gonk.annotate(dataset, {
  annotations: [
    {
      objects: [object.version],
      schema: 'schema-boxes',
      value: {
        image: { width: 64, height: 48 },
        boxes: [
          { category: 'car', xywh: [8, 24, 24, 12] },
          { category: 'tree', xywh: [44, 8, 12, 28] },
        ],
      },
    },
  ],
})
console.log(`annotated it: ${annotated.annotations[0]?.id}`)

await accept([object.version, ...annotated.annotations.map(({ version }) => version)])
console.log('accepted both, as an owner')

const { objects } = await gonk.listObjects(dataset, { status: 'accepted', prefix: 'images/' })
for (const { name, size } of objects) console.log(`accepted: ${name} (${size} bytes)`)
const { annotations } = await gonk.listAnnotations(dataset, { object: name })
for (const { id, status } of annotations) console.log(`annotation ${id}: ${status}`)

const release = await gonk.createRelease(dataset, `v${run}`, 'made by an example')
console.log(`released ${release.tag}: ${release.root}`)

const content = await gonk.content(dataset, name)
const half = Math.floor(content.size / 2)
const parts: Uint8Array[] = []
for (const range of [{ length: half }, { offset: half }]) {
  for await (const part of content.read(range)) parts.push(part)
}
if (!Buffer.concat(parts).equals(await readFile(imagePath)))
  throw new Error('other bytes came back')
console.log(`downloaded ${content.size} bytes in two ranges: the same as were sent`)

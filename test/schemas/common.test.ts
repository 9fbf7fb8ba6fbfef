// The schemas that come with the package: each says what it is meant to say.
import { afterAll, describe, expect, it } from 'vitest'
import { commonSchemas } from '../../src/schemas/common.ts'
import { openValidator } from '../../src/validation/validator.ts'
import { bytes, verdict } from '../validation/questions.ts'

const validator = openValidator()
afterAll(() => validator.close())

type Path = readonly (string | number)[]

/** The example with one place changed; `undefined` removes it. */
function changed(example: string, path: Path, value: unknown): Uint8Array {
  const document: unknown = JSON.parse(example)
  const last = path.at(-1) as string | number
  const parent = path.slice(0, -1).reduce((at, key) => (at as never)[key], document)
  Object.assign(parent as object, { [last]: value })
  return bytes(JSON.stringify(document))
}

const wrong: Record<string, readonly (readonly [what: string, path: Path, value: unknown])[]> = {
  'schema-classification': [
    ['no labels', ['labels'], undefined],
    ['a label that is text alone', ['labels', 0], 'street'],
    ['an empty category', ['labels', 0, 'category'], ''],
    ['a misspelt property', ['labels', 0, 'confidence'], 0.5],
    ['a score in percent', ['labels', 1, 'score'], 83],
    ['an attribute that is a list', ['labels', 0, 'attributes'], { weather: ['rain'] }],
  ],
  'schema-boxes': [
    ['no image', ['image'], undefined],
    ['an image without height', ['image', 'height'], undefined],
    ['half a pixel of width', ['image', 'width'], 0.5],
    ['a box of three numbers', ['boxes', 0, 'xywh'], [1, 2, 3]],
    ['a box of five numbers', ['boxes', 0, 'xywh'], [1, 2, 3, 4, 5]],
    ['a box without width', ['boxes', 0, 'xywh'], [1, 2, 0, 4]],
    ['a box by another name', ['boxes', 0, 'bbox'], [1, 2, 3, 4]],
    ['no category', ['boxes', 0, 'category'], undefined],
    ['a category by number', ['boxes', 0, 'category'], 3],
    ['crowd as a number', ['boxes', 2, 'crowd'], 1],
  ],
  'schema-polygons': [
    ['a ring of two points', ['polygons', 0, 'parts', 0, 'outer'], [[0, 0], [1, 1]]], // prettier-ignore
    ['a ring as a flat list', ['polygons', 0, 'parts', 0, 'outer'], [0, 0, 1, 1, 2, 0]],
    ['a point with three numbers', ['polygons', 0, 'parts', 0, 'outer', 0], [0, 0, 1]],
    ['a hole that is no ring', ['polygons', 0, 'parts', 0, 'holes', 0], [1, 2]],
    ['no parts', ['polygons', 1, 'parts'], []],
  ],
  'schema-keypoints': [
    ['no skeleton', ['skeleton'], undefined],
    ['a name twice', ['skeleton', 'names', 1], 'nose'],
    ['an edge of one', ['skeleton', 'edges', 0], ['nose']],
    ['visibility as in COCO', ['instances', 0, 'points', 'nose', 'visibility'], 2],
    ['a point without place', ['instances', 0, 'points', 'nose'], { visibility: 'visible' }],
    ['points as a list', ['instances', 0, 'points'], [301, 118, 2]],
    ['no point at all', ['instances', 0, 'points'], {}],
  ],
  'schema-masks': [
    ['a size of one number', ['masks', 0, 'rle', 'size'], [6]],
    ['negative counts', ['masks', 0, 'rle', 'counts', 1], -3],
    ['counts as numbers in text', ['masks', 1, 'rle', 'counts'], '13 3 3'],
    ['no counts', ['masks', 0, 'rle', 'counts'], undefined],
    ['bytes beside the mask', ['masks', 0, 'png'], 'iVBORw0KGgo='],
  ],
  'schema-captions': [
    ['no language', ['captions', 0, 'language'], undefined],
    ['a language by its name', ['captions', 0, 'language'], 'in English'],
    ['no words', ['captions', 0, 'text'], ''],
    ['no captions', ['captions'], []],
    ['a caption as text alone', ['captions', 0], 'A cyclist.'],
  ],
}

it('there are six, and their names differ', () => {
  expect(commonSchemas.map(({ name }) => name).toSorted()).toEqual(Object.keys(wrong).toSorted())
})

describe.each(commonSchemas)('$name', ({ name, title, schema, example }) => {
  it('is a schema of draft 2020-12 with a name, a title and descriptions', async () => {
    expect(await validator.checkSchema(bytes(schema))).toEqual({ draft: '2020-12' })
    const { $id, title: own, description } = JSON.parse(schema) as Record<string, string>
    expect($id).toMatch(/^urn:gonk:schema:[a-z]+:1$/)
    expect(`schema-${title.toLowerCase()}`).toBe(name)
    expect(own).toBe(title)
    expect(description).toMatch(/\.$/)
  })

  it('has an example that conforms', async () => {
    const answers = await validator.check(bytes(schema), [bytes(example)])
    expect(answers).toEqual([{ conforms: true }])
  })

  it.each(wrong[name] ?? [])('does not allow %s', async (_, path, value) => {
    const answers = await validator.check(bytes(schema), [changed(example, path, value)])
    expect(answers.map(verdict)).toEqual(['NOT_CONFORMING'])
  })

  it('does not allow a property that it does not name', async () => {
    const answers = await validator.check(bytes(schema), [changed(example, ['lables'], [])])
    expect(answers.map(verdict)).toEqual(['NOT_CONFORMING'])
  })
})

it('boxes may be none, and may reach over the edge of their image', async () => {
  const { schema, example } = commonSchemas.find(({ name }) => name === 'schema-boxes') ?? {}
  const documents = [
    changed(example ?? '', ['boxes'], []),
    changed(example ?? '', ['boxes', 0, 'xywh'], [-4, -0.5, 5000, 9]),
  ]
  expect((await validator.check(bytes(schema), documents)).map(verdict)).toEqual([true, true])
})

it('the two masks of the example are the same pixels, as many as the image has', () => {
  const { example } = commonSchemas.find(({ name }) => name === 'schema-masks') ?? {}
  const { image, masks } = JSON.parse(example ?? '') as {
    image: { width: number; height: number }
    masks: { rle: { size: number[]; counts: number[] | string } }[]
  }
  const counts = masks.map(({ rle }) =>
    typeof rle.counts === 'string' ? decompressed(rle.counts) : rle.counts,
  )
  expect(counts[1]).toEqual(counts[0])
  expect(counts[0]?.reduce((sum, count) => sum + count, 0)).toBe(image.width * image.height)
  for (const { rle } of masks) expect(rle.size).toEqual([image.height, image.width])
})

/** COCO's text form: five bits a character, lowest first; from the fourth count on, differences. */
function decompressed(text: string): number[] {
  const counts: number[] = []
  let value = 0
  let shift = 0
  for (const character of text) {
    const bits = character.charCodeAt(0) - 48
    value |= (bits & 0x1f) << shift
    shift += 5
    if ((bits & 0x20) !== 0) continue
    if ((bits & 0x10) !== 0) value |= -1 << shift
    counts.push(counts.length > 2 ? value + (counts.at(-2) as number) : value)
    value = shift = 0
  }
  return counts
}

// What the common schemas share: the schema around them, and the small parts all of them use.

/** A JSON Schema, or a document, before it is text. */
export type Json = Readonly<Record<string, unknown>>

/** One common schema, with a document that conforms to it. */
export interface CommonSource {
  /** As schemas are named in a dataset. */
  readonly name: string
  readonly schema: Json & { readonly title: string }
  readonly example: Json
}

/** A document with these properties and no others: a misspelt name is found, not ignored. */
export function closedObject(description: string, properties: Json, required: readonly string[]) {
  return { description, type: 'object', properties, required, additionalProperties: false }
}

/** A draft 2020-12 schema whose `$id` names it without saying where it is. */
export function schemaOf(kind: string, title: string, body: Json) {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:gonk:schema:${kind}:1`,
    title,
    ...body,
  }
}

/** The image that coordinates count in. */
export const image = closedObject(
  'The image as it was annotated. Coordinates count its pixels: the origin is the outer corner of ' +
    'the pixel at the top left, x grows to the right, y downwards, fractions are allowed.',
  {
    width: { description: 'Width in pixels.', type: 'integer', minimum: 1 },
    height: { description: 'Height in pixels.', type: 'integer', minimum: 1 },
  },
  ['width', 'height'],
)

export const category = {
  description: 'What it is, by the name of the category: "bicycle", "tumour cell".',
  type: 'string',
  minLength: 1,
  maxLength: 255,
}

const score = {
  description: 'How sure a model was, 0 to 1. People leave it out.',
  type: 'number',
  minimum: 0,
  maximum: 1,
}

const attributes = {
  description: 'Anything else worth saying, by name: {"colour": "red", "age": 3}.',
  type: 'object',
  additionalProperties: { type: ['string', 'number', 'boolean', 'null'] },
}

/** Of everything that is said about something, whatever its shape. */
export const statement = { score, attributes }

/** Of everything seen in an image. */
export const instance = {
  category,
  instance: {
    description: 'The same text in other annotations of this image means the same thing seen.',
    type: 'string',
    minLength: 1,
    maxLength: 255,
  },
  crowd: {
    description: 'Several that are not told apart (`iscrowd` in COCO). Absent: false.',
    type: 'boolean',
  },
  occluded: { description: 'Something stands before it. Absent: not said.', type: 'boolean' },
  truncated: { description: 'The image ends before it does. Absent: not said.', type: 'boolean' },
  ...statement,
}

export const box = {
  description:
    '[x, y, width, height] in pixels, x and y of its left upper corner. Absolute, not normalised, ' +
    'and no second corner.',
  type: 'array',
  prefixItems: [
    { title: 'x', type: 'number' },
    { title: 'y', type: 'number' },
    { title: 'width', type: 'number', exclusiveMinimum: 0 },
    { title: 'height', type: 'number', exclusiveMinimum: 0 },
  ],
  minItems: 4,
  items: false,
}

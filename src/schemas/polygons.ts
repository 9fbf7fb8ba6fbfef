// Polygons: outlines of what is seen in an image, in parts and with holes.
import { closedObject, type CommonSource, image, instance, schemaOf } from './parts.ts'

const ring = {
  description:
    'Points [x, y] in pixels, in either direction. The last is joined to the first: do not repeat it.',
  type: 'array',
  minItems: 3,
  items: {
    type: 'array',
    prefixItems: [
      { title: 'x', type: 'number' },
      { title: 'y', type: 'number' },
    ],
    minItems: 2,
    items: false,
  },
}

const part = closedObject(
  'One connected piece.',
  {
    outer: ring,
    holes: { description: 'What is cut out of it.', type: 'array', items: ring },
  },
  ['outer'],
)

export const polygons: CommonSource = {
  name: 'schema-polygons',
  schema: schemaOf(
    'polygons',
    'Polygons',
    closedObject(
      'Outlines of what is seen in an image.',
      {
        image,
        polygons: {
          description: 'In any order. Empty: somebody looked, and there is nothing.',
          type: 'array',
          items: closedObject(
            'One thing seen.',
            {
              parts: {
                description: 'Several where something before it divides it.',
                type: 'array',
                minItems: 1,
                items: part,
              },
              ...instance,
            },
            ['category', 'parts'],
          ),
        },
      },
      ['image', 'polygons'],
    ),
  ),
  example: {
    image: { width: 2048, height: 2048 },
    polygons: [
      {
        category: 'building',
        parts: [
          {
            outer: [
              [102, 88.5],
              [340, 90],
              [338, 402],
              [100, 399],
            ],
            holes: [
              [
                [180, 170],
                [260, 170],
                [260, 300],
                [180, 300],
              ],
            ],
          },
        ],
        attributes: { storeys: 5 },
      },
      {
        category: 'road',
        occluded: true,
        parts: [
          {
            outer: [
              [0, 600],
              [900, 640],
              [900, 700],
              [0, 660],
            ],
          },
          {
            outer: [
              [960, 643],
              [2048, 690],
              [2048, 750],
              [960, 703],
            ],
          },
        ],
      },
    ],
  },
}

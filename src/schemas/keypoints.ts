// Keypoints: named points of what is seen in an image, and the skeleton that joins them.
import { box, closedObject, type CommonSource, image, instance, schemaOf } from './parts.ts'

const pointName = { type: 'string', minLength: 1, maxLength: 255 }

const skeleton = closedObject(
  'The points there are, and which of them are joined when they are drawn.',
  {
    names: {
      description: 'In the order that models use.',
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: pointName,
    },
    edges: {
      description: 'Pairs of names.',
      type: 'array',
      items: { type: 'array', minItems: 2, maxItems: 2, uniqueItems: true, items: pointName },
    },
  },
  ['names'],
)

const point = closedObject(
  'Where it is, in pixels. A point that nobody placed is left out (0 in COCO).',
  {
    x: { type: 'number' },
    y: { type: 'number' },
    visibility: {
      description:
        'Whether it can be seen (2 in COCO), or was placed behind something (1 in COCO).',
      enum: ['visible', 'hidden'],
    },
    score: { description: 'How sure a model was, 0 to 1.', type: 'number', minimum: 0, maximum: 1 },
  },
  ['x', 'y', 'visibility'],
)

export const keypoints: CommonSource = {
  name: 'schema-keypoints',
  schema: schemaOf(
    'keypoints',
    'Keypoints',
    closedObject(
      'Named points of what is seen in an image.',
      {
        image,
        skeleton,
        instances: {
          description: 'In any order. Empty: somebody looked, and there is nothing.',
          type: 'array',
          items: closedObject(
            'One thing seen.',
            {
              points: {
                description: 'By the names of the skeleton.',
                type: 'object',
                minProperties: 1,
                propertyNames: pointName,
                additionalProperties: point,
              },
              xywh: box,
              ...instance,
            },
            ['category', 'points'],
          ),
        },
      },
      ['image', 'skeleton', 'instances'],
    ),
  ),
  example: {
    image: { width: 640, height: 480 },
    skeleton: {
      names: ['nose', 'left_shoulder', 'right_shoulder', 'left_wrist', 'right_wrist'],
      edges: [
        ['left_shoulder', 'right_shoulder'],
        ['left_shoulder', 'left_wrist'],
        ['right_shoulder', 'right_wrist'],
      ],
    },
    instances: [
      {
        category: 'person',
        instance: 'person-1',
        xywh: [210, 64, 180, 402],
        points: {
          nose: { x: 301.5, y: 118, visibility: 'visible' },
          left_shoulder: { x: 342, y: 186, visibility: 'visible' },
          right_shoulder: { x: 262, y: 190, visibility: 'visible' },
          left_wrist: { x: 371, y: 305, visibility: 'hidden' },
        },
      },
    ],
  },
}

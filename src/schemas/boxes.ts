// Boxes: upright rectangles around what is seen in an image.
import { box, closedObject, type CommonSource, image, instance, schemaOf } from './parts.ts'

export const boxes: CommonSource = {
  name: 'schema-boxes',
  schema: schemaOf(
    'boxes',
    'Boxes',
    closedObject(
      'Upright boxes around what is seen in an image.',
      {
        image,
        boxes: {
          description: 'In any order. Empty: somebody looked, and there is nothing.',
          type: 'array',
          items: closedObject('One box.', { xywh: box, ...instance }, ['category', 'xywh']),
        },
      },
      ['image', 'boxes'],
    ),
  ),
  example: {
    image: { width: 1920, height: 1080 },
    boxes: [
      { category: 'car', xywh: [412.5, 530, 301, 187.5], instance: 'car-1', truncated: false },
      { category: 'bicycle', xywh: [1204, 611, 88, 122], occluded: true, score: 0.91 },
      { category: 'person', xywh: [0, 488, 640, 210], crowd: true, attributes: { count: 12 } },
    ],
  },
}

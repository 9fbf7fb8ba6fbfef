// Masks: the pixels of what is seen in an image, as run lengths in the way of COCO.
import { closedObject, type CommonSource, image, instance, schemaOf } from './parts.ts'

const runLengths = {
  description:
    'How many pixels are outside, then inside, then outside, … down the first column, then the ' +
    'second. Starts with those outside, 0 where there are none; adds up to height × width.',
  oneOf: [
    {
      title: 'Plain',
      type: 'array',
      minItems: 1,
      items: { type: 'integer', minimum: 0 },
    },
    { title: 'Compressed, as pycocotools writes it', type: 'string', pattern: '^[0-o]+$' },
  ],
}

export const masks: CommonSource = {
  name: 'schema-masks',
  schema: schemaOf(
    'masks',
    'Masks',
    closedObject(
      'The pixels of what is seen in an image, as COCO run lengths.',
      {
        image,
        masks: {
          description: 'In any order. Empty: somebody looked, and there is nothing.',
          type: 'array',
          items: closedObject(
            'One thing seen.',
            {
              rle: closedObject(
                'The mask, which has the size of the image.',
                {
                  size: {
                    description: '[height, width], in the order of COCO.',
                    type: 'array',
                    minItems: 2,
                    maxItems: 2,
                    items: { type: 'integer', minimum: 1 },
                  },
                  counts: runLengths,
                },
                ['size', 'counts'],
              ),
              ...instance,
            },
            ['category', 'rle'],
          ),
        },
      },
      ['image', 'masks'],
    ),
  ),
  // A 4 × 3 block at x 2, y 1, written in both ways.
  example: {
    image: { width: 8, height: 6 },
    masks: [
      { category: 'nucleus', rle: { size: [6, 8], counts: [13, 3, 3, 3, 3, 3, 3, 3, 14] } },
      { category: 'nucleus', instance: 'n-2', rle: { size: [6, 8], counts: '=3300000;' } },
    ],
  },
}

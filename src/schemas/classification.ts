// Classification: which categories a whole object belongs to.
import { category, closedObject, type CommonSource, schemaOf, statement } from './parts.ts'

export const classification: CommonSource = {
  name: 'schema-classification',
  schema: schemaOf(
    'classification',
    'Classification',
    closedObject(
      'The categories that a whole object belongs to: none, one or several.',
      {
        labels: {
          description: 'The categories, the most fitting first.',
          type: 'array',
          items: closedObject('One category.', { category, ...statement }, ['category']),
        },
        exhaustive: {
          description: 'True: categories that are not listed do not apply. Absent: not said.',
          type: 'boolean',
        },
      },
      ['labels'],
    ),
  ),
  example: {
    labels: [
      { category: 'street', attributes: { weather: 'rain', night: false } },
      { category: 'crossroads', score: 0.83 },
    ],
    exhaustive: false,
  },
}

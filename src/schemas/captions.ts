// Captions: what an object shows or says, in words.
import { closedObject, type CommonSource, schemaOf, statement } from './parts.ts'

export const captions: CommonSource = {
  name: 'schema-captions',
  schema: schemaOf(
    'captions',
    'Captions',
    closedObject(
      'What an object shows or says, in words.',
      {
        captions: {
          description: 'Different words for the same, or other languages.',
          type: 'array',
          minItems: 1,
          items: closedObject(
            'One caption.',
            {
              language: {
                description: 'A BCP 47 language tag: "en", "pt-BR", "zh-Hant".',
                type: 'string',
                maxLength: 35,
                pattern: '^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$',
              },
              text: { description: 'The words.', type: 'string', minLength: 1, maxLength: 10_000 },
              ...statement,
            },
            ['language', 'text'],
          ),
        },
      },
      ['captions'],
    ),
  ),
  example: {
    captions: [
      { language: 'en', text: 'A cyclist waits at a crossroads in the rain.' },
      { language: 'de', text: 'Ein Radfahrer wartet im Regen an einer Kreuzung.' },
      { language: 'pt-BR', text: 'Um ciclista espera num cruzamento.', score: 0.64 },
    ],
  },
}

// The annotation schemas that come with the package, as text that goes into a dataset as it is.
import { boxes } from './boxes.ts'
import { captions } from './captions.ts'
import { classification } from './classification.ts'
import { keypoints } from './keypoints.ts'
import { masks } from './masks.ts'
import type { CommonSource, Json } from './parts.ts'
import { polygons } from './polygons.ts'

export interface CommonSchema {
  /** As schemas are named in a dataset: `schema-boxes`. */
  readonly name: string
  readonly title: string
  /** JSON Schema, draft 2020-12, as JSON text. The same bytes in every build of a version. */
  readonly schema: string
  /** JSON text of a document that conforms. */
  readonly example: string
}

export const commonSchemas: readonly CommonSchema[] = [
  classification,
  boxes,
  polygons,
  keypoints,
  masks,
  captions,
].map(common)

function common({ name, schema, example }: CommonSource): CommonSchema {
  return { name, title: schema.title, schema: textOf(schema), example: textOf(example) }
}

function textOf(json: Json): string {
  return `${JSON.stringify(json, null, 2)}\n`
}

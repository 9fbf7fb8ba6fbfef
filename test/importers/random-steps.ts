// Random histories of Gonk: numbers, each of which does to a model what it can.
import fc from 'fast-check'
import type { GonkModel, ModelVersion } from './make-gonk-folder.ts'

type Steps = readonly (readonly [what: number, a: number, b: number])[]

export const steps: fc.Arbitrary<Steps> = fc.array(
  fc.tuple(fc.nat({ max: 11 }), fc.nat({ max: 50 }), fc.nat({ max: 50 })),
  { minLength: 1, maxLength: 60 },
)

export function play(model: GonkModel, moves: Steps): void {
  for (const [what, a, b] of moves) {
    const some = (kind: ModelVersion['kind'], i: number) => {
      const all = model.versions.filter((version) => version.kind === kind)
      return all[i % Math.max(1, all.length)]
    }
    const object = some('object', a)
    const schema = some('schema', b)
    const annotation = some('annotation', a)
    const any = model.versions[a % Math.max(1, model.versions.length)]
    if (what === 0) model.object({ name: b % 3 === 0 ? 'same.txt' : `f${b % 2}/x${b % 4}` })
    else if (what === 1) model.schema(b % 7 === 0 ? '{"type": 12}' : undefined)
    else if (what === 2 && object) model.object({ of: b % 4 === 0 && schema ? schema : object })
    else if (what === 3 && object && schema) {
      const both = [object, some('object', b) as ModelVersion]
      const targets = both.filter(
        ({ marks }) => !marks.has('createRejected') && !marks.has('deleteAccepted'),
      )
      if (targets.length > 0) model.annotation(targets, schema, b % 5 !== 0)
    } else if (what === 4 && annotation && schema) {
      model.updateAnnotation(annotation, schema, b % 5 !== 0)
    } else if (what === 5 && any) model.delete(any)
    else if (what > 5) model.review(what < 9 ? 0 : a, b % 4 !== 0)
  }
}

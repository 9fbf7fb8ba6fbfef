// A release of a dataset with annotations is the same everywhere and for ever: its root, its files
// byte by byte, and what is annotated in it, also on nodes that never met the one that made it.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { AnnotationInfo, CloneResult, RootInfo } from '../../src/contract/api.ts'
import { aWorld, type TestNode, until } from './daemon.ts'
import { digestsOf, variedFiles, writeFiles } from './folders.ts'
import { labelSchema } from './gonk.ts'

const accept = true

/** All that is accepted, by id: the order of arrival and the numbers of versions are each node's own. */
async function accepted({ api }: TestNode, dataset = 'cells'): Promise<object[]> {
  const found: AnnotationInfo[] = []
  let after: string | undefined
  do {
    const page = await api.listAnnotations(dataset, after === undefined ? {} : { after })
    found.push(...page.annotations)
    after = page.next
  } while (after !== undefined)
  const sorted = found.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const described = sorted.map(async ({ schema: { number: _, ...schema }, ...info }) => {
    const { text, here, conformity } = await api.showAnnotation(dataset, info.id)
    return { ...info, schema, text, here, conformity }
  })
  return Promise.all(described)
}

/** A release with everything in it that annotations can be, and a good deal of change after it. */
async function makeRelease(a: TestNode, files: string, next: string) {
  await a.api.createDataset({ name: 'cells' })
  await a.api.add('cells', { paths: [files], accept })
  await a.api.addSchema('cells', { name: 'schema-label', document: labelSchema, accept })
  const annotate = async (object: string, label: string, isAccepted: boolean) => {
    const item = { objects: [object], schema: 'schema-label', value: { label } }
    const request = { annotations: [item], ...(isAccepted && { accept }) }
    const { annotations, events } = await a.api.annotate('cells', request)
    return { id: annotations[0]?.id ?? '', event: events[0] ?? '' }
  }
  const changed = await annotate('empty', 'before', accept)
  // Too large for the event: it is content of its own.
  await annotate('large.tif', 'long '.repeat(20_000), accept)
  await a.api.updateAnnotation('cells', changed.id, { value: { label: 'second' }, accept })
  const gone = await annotate('deep/er/and/deeper.txt', 'gone soon', accept)
  const waiting = await annotate('empty', 'not yet', false)
  const refused = await annotate('empty', 'never', false)
  await a.api.review('cells', { verdict: 'reject', items: [refused.event] })

  const { root, check } = await a.api.createRelease('cells', 'v1', 'with annotations')
  expect(check).toBe('ok')
  const released = { root, annotations: await accepted(a) }
  expect(released.annotations).toHaveLength(3)

  await a.api.updateAnnotation('cells', changed.id, { value: { label: 'third' }, accept })
  await a.api.review('cells', { verdict: 'accept', items: [waiting.event] })
  const { events } = await a.api.removeObjects('cells', [gone.id])
  await a.api.review('cells', { verdict: 'accept', items: events })
  await a.api.add('cells', { paths: [next], accept })
  await a.api.createRelease('cells', 'v2')
  return released
}

it('a release with annotations is the same on every node, however it got there', async () => {
  const world = await aWorld()
  const [a, b, c, d] = world.nodes('A', 'B', 'C', 'D')
  const files = await writeFiles(join(world.dir, 'files'), variedFiles())
  const next = await writeFiles(join(world.dir, 'next'), { empty: 'no more', 'new.txt': 'new' })
  await Promise.all([a, b, c, d].map((node) => node.start()))
  const released = await makeRelease(a, files, next)
  const now = await accepted(a)
  expect(now).not.toEqual(released.annotations)

  const checkedOut = async (node: TestNode, ref: string) => {
    const out = join(world.dir, `${node.name}-${ref}`)
    await node.json('checkout', ref, out)
    return digestsOf(out)
  }
  const source = await digestsOf(files)
  const changes = (await a.api.diff('cells', 'v1')).changes
  expect(changes.map(({ name, change }) => `${change} ${name}`)).toEqual([
    'changed empty',
    'added new.txt',
  ])

  await b.json('clone', (await a.api.root('cells')).root, '--peer', a.address)
  expect(await a.daemon.stop()).toBe(0)
  // From B alone, by the root of the release: one follows, the other keeps just that.
  const cloned = await c.json<CloneResult>('clone', released.root, '--peer', b.address)
  await d.json('clone', released.root, '--peer', b.address, '--pin-only')
  expect(cloned.root).toBe((await b.api.root('cells')).root)
  for (const node of [b, c]) {
    const v1 = await until(`${node.name} has checked v1`, async () => {
      const release = await node.api.showRelease('cells', 'v1')
      return release.check !== 'checking' && release
    })
    expect(v1).toMatchObject({ root: released.root, check: 'ok', text: 'with annotations' })
    expect(await checkedOut(node, 'cells@v1')).toEqual(source)
    expect((await node.api.diff('cells', 'v1', 'v2')).changes).toEqual(changes)
    expect(await accepted(node)).toEqual(now)
  }

  const pinned = await d.json<RootInfo>('root', 'cells')
  expect(pinned.root).toBe(released.root)
  expect(await checkedOut(d, 'cells')).toEqual(source)
  expect(await accepted(d)).toEqual(released.annotations)
  for (const node of [b, c, d]) {
    expect(await node.api.verify('cells')).toMatchObject({ ok: true, problems: [] })
    expect(node.daemon.complaints()).toEqual([])
  }
})

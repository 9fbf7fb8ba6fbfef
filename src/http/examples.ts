// Bodies of requests as people may copy them from the documentation, by the method they are for.
import type { NodeApi } from '../contract/api.ts'

const event = 'bafyreidpl4asaf6klxj2v7d54bt35g373wigui5mowzvihklpdc65xfnv4'
const key = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
const cid = 'bafkreihuyd6f2xaoy6utaku2pmcbf2weaqbfqhpoxbjzmhlnc5vncfxufy'
const link = `gonk://${event}?root=${event}&peer=%2Fip4%2F10.0.0.2%2Ftcp%2F4050%2Fp2p%2F12D3KooW…`
const box = { category: 'RBC', xywh: [77, 335, 107, 100] }

/** Of every method that needs a JSON body. */
export const examples: { readonly [Method in keyof NodeApi]?: Readonly<Record<string, unknown>> } =
  {
    connect: { multiaddr: '/ip4/10.0.0.2/tcp/4050/p2p/12D3KooW…' },
    addUser: { name: 'ada', role: 'member' },
    createDataset: { name: 'cells' },
    addOwner: { key, name: 'ada' },
    endorse: { event },
    setPolicy: { reviews: 2 },
    trustCheckpoint: { checkpoint: event },
    createRelease: { tag: 'v1', text: 'first release' },
    propose: {
      operations: [
        { op: 'create', name: 'images/a.jpg', cid },
        { op: 'delete', object: 'images/b.jpg' },
      ],
    },
    submit: { events: ['omRib2R5…'] },
    add: { paths: ['/srv/images'], prefix: '2026/may' },
    removeObjects: { objects: ['images/b.jpg'] },
    renameObject: { object: 'images/b.jpg', name: 'images/c.jpg' },
    importFrom: { format: 'gonk', path: '/srv/gonk/root/datasets/cells' },
    addSchema: {
      name: 'schema-verdict',
      document: '{"type":"object","properties":{"verdict":{"enum":["ok","bad"]}}}',
    },
    annotate: {
      annotations: [
        {
          objects: ['images/a.jpg'],
          schema: 'schema-boxes',
          value: { image: { width: 640, height: 480 }, boxes: [box] },
        },
      ],
    },
    updateAnnotation: { value: { image: { width: 640, height: 480 }, boxes: [] } },
    review: { verdict: 'reject', items: [`${event}:0-9`], reason: 'out of focus' },
    select: { filter: { kind: 'annotation', author: key } },
    checkDecisions: { decisions: [{ verdict: 'accept', items: [{ item: `${event}:0` }] }] },
    decide: {
      decisions: [
        { verdict: 'accept', items: [{ item: `${event}:0` }] },
        { verdict: 'reject', reason: 'out of focus', items: [{ item: `${event}:1-9` }] },
      ],
      idempotencyKey: '6f1c-42',
    },
    clone: { ref: link },
    checkout: { directory: '/srv/cells' },
    backup: { directory: '/mnt/disk/gonk' },
  }

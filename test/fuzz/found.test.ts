// What fuzzing found, byte for byte. Each of these once broke what its target holds.
import { expect, it } from 'vitest'
import { type Target, tryInput, utf8 } from './target.ts'

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))

/** A genesis whose kind is another word of seven bytes, two of which are zero. */
const strangeKind = hex(
  'a761615820332cbfc6af3f3c2ab21d3afacb348c6d10710042c0fe38154334a1df8c577ca86162a5646e616d6567766563' +
    '746f7273656e6f6e63655007070707070707070707070707070707666b4f776e657202676b5265766965770268666f756e' +
    '64657273835820332cbfc6af3f3c2ab21d3afacb348c6d10710042c0fe38154334a1df8c577ca858205c9d580ff4600c98' +
    'cde80a90906fb3a0963d24a75fbe50913a5e17cafed64c22582032e4739a03e0e1a46fe2c744573a15507a974016217dc6' +
    '9cb7fd11e3da760e9d6164f6616b676700006573697361741b0000018bcfe568006176016373696758405a3b70ead2c797' +
    '54ca8c80e816a684781a8f6d7ca7656b40a1375fb12122dc9deffa71ab831dab6cc414c0094f5ffa766ba8a0775edc4f24' +
    'a77bdfc86a0d3009',
)
/** `{"\n": 1, "\n": 1}`: the library's words about it quote the key. */
const strangeKey = hex('a2610a01610a01')

/** `{head: null, status: "live", versions: [{}, {}, …]}`: more than fit the arguments of one call. */
function manyVersions(): Uint8Array {
  const count = 200_000
  const list = new Uint8Array(count).fill(0xa0)
  const before = hex(`a36468656164f66673746174757364${Buffer.from('live').toString('hex')}`)
  const key = Uint8Array.of(0x68, ...utf8('versions'))
  const head = Uint8Array.of(0x9a, ...new Uint8Array(Uint32Array.of(count).buffer).reverse())
  const status = Uint8Array.of(...before.subarray(0, -5), 0x64, ...before.subarray(-4))
  return new Uint8Array(Buffer.concat([status, key, head, list]))
}

/** A body with an unknown field that has a carriage return in it; the first byte names its route. */
const strangeField = hex(
  '167b2276657264696374223a22616363657074222c22' +
    '5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c726561736f6e223a227821227d',
)

/** A JSON object with a field that is nested deeper than it can be written again. */
const deep = (before: string) => utf8(`${before}${'['.repeat(120_000)}${']'.repeat(120_000)}}`)

const found: readonly (readonly [string, string, Uint8Array])[] = [
  ['event', 'a refusal that quotes line breaks of the event', strangeKey],
  ['event', 'a refusal that quotes the kind of the event', strangeKind],
  ['gossip', 'a refusal that quotes line breaks of the message', strangeKey],
  ['sync-request', 'a refusal that quotes line breaks of the request', strangeKey],
  ['snapshot', 'a refusal that quotes line breaks of the block', strangeKey],
  ['trie-node', 'a refusal that quotes line breaks of the block', strangeKey],
  ['state-record', 'a stack overflow over very many versions', manyVersions()],
  ['http-body', 'an answer that quotes control characters', new Uint8Array(20)],
  ['http-body', 'an answer that quotes a field with a line break', strangeField],
  ['config', 'a config file that is no map', utf8('\u0001a:KLpYVFTWrGUvdJ7a\n')],
  ['config', 'an alias that leads nowhere', utf8('Fa: &allow: a [?1 ,2]\nb: *a\n')],
  [
    'gonk-event',
    'an error that quotes control characters',
    utf8('{"type":"Annotat\u009bonEvent"}'),
  ],
  ['gonk-event', 'a stack overflow over a deep type', deep('{"type":')],
  [
    'json-schema',
    'a failure to tell that a reference leads nowhere, where the loader wraps CommonJS otherwise',
    utf8('{"$ref":"{}#/$defs/a","$defs":{"a":{"enum":["a","b"]}}}\0"a"'),
  ],
  ['backup-manifest', 'a stack overflow over a deep field', deep('\0{"format":1,"a":')],
]

it.each(found)('%s: %s', async (name, _, bytes) => {
  const { target } = (await import(`./targets/${name}.ts`)) as { target: Target }
  await expect(Promise.resolve(bytes).then((input) => tryInput(target, input))).resolves.toBe(
    undefined,
  )
})

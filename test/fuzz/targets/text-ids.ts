// Ids, references and addresses as people and links write them.
import { parseReference } from '../../../src/api/copies/link.ts'
import { cursorOf, positionsOf } from '../../../src/api/history/event-cursor.ts'
import { digestPrefixesOf } from '../../../src/api/resolve.ts'
import { cidOfEventId, type EventId, eventIdOfText, textOfEventId } from '../../../src/core/ids.ts'
import { readWireCid, wireCid } from '../../../src/network/block-wire.ts'
import { parseAddress, peerOf } from '../../../src/network/address.ts'
import { cidBytes } from '../seeds.ts'
import { allowing, hold, holdSame, holdSameBytes, type Target, textOf, utf8 } from '../target.ts'

const id = 'ab'.repeat(32) as EventId
const cid = cidOfEventId(id)
const peer = '12D3KooWGRUfFFrKPFqtBHrNKLpYVFTWrGUvdJ7b4UkPnMYzDMvC'

const own = { isOwn: true }
const samples = [
  cid.toString(),
  cid.toString().slice(0, 30),
  `gonk://${cid.toString()}?root=${cid.toString()}&peer=%2Fip4%2F10.0.0.2%2Ftcp%2F4050`,
  `/ip4/10.0.0.2/tcp/4050/p2p/${peer}`,
  '/ip6/::1/tcp/4050/ws',
  `/dns4/example.org/tcp/443/wss/p2p/${peer}/p2p-circuit`,
  '/ip6zone/x/ip6/fe80::1/tcp/80',
  '/unix/a%2Fb/tcp/1',
  cursorOf(new Map([[0, 5]])),
  cursorOf(new Map([...Array(9).keys()].map((i) => [i * 90, i * 7e12]))),
  'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPBdG',
]

export const target: Target = {
  seeds: () => [...samples.map(utf8), cidBytes(0x71), cidBytes(0x55), cidBytes(0x70)],
  words: ['bafyrei', 'gonk://', '?root=', '&peer=', '/p2p/', '/ip4/', '/tcp/', '/dns4/', '/unix/'],
  bytesMax: 600,
  check: (bytes) => {
    const text = textOf(bytes)
    const known = eventIdOfText(text)
    if (known !== undefined) hold(eventIdOfText(textOfEventId(known)) === known, 'an id written')
    const prefixes = digestPrefixesOf(text)
    hold(prefixes.length <= 8 && prefixes.every((one) => /^[0-9a-f]{0,64}$/.test(one)), 'prefixes')
    const reference = allowing(['BAD_CID'], () => parseReference(text), own)
    if (reference) hold(eventIdOfText(reference.cid) !== undefined, 'a reference')
    const positions = allowing(['USAGE'], () => positionsOf(text))
    if (positions) hold(cursorOf(positions) === text, 'a cursor written again')
    const address = allowing(['BAD_ADDRESS'], () => parseAddress(text), own)
    if (address) {
      peerOf(address)
      holdSame(parseAddress(address.toString()).toString(), address.toString(), 'an address')
    }
    if (bytes.length < 36) return
    const read = readWireCid(bytes.subarray(0, 36))
    const wire = read && wireCid(read)
    if (read) holdSameBytes(wire ?? new Uint8Array(0), bytes.subarray(0, 36), 'a CID on the wire')
  },
}

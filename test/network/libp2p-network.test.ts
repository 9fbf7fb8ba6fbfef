import { randomBytes } from 'node:crypto'
import { createNetwork } from '../../src/network/libp2p-network.ts'
import { networkSuite } from '../conformance/network-suite.ts'
import { quiet } from './makers.ts'

networkSuite('libp2p', {
  create: ({ roams }) =>
    createNetwork(
      { log: quiet },
      {
        seed: randomBytes(32),
        listen: ['/ip4/127.0.0.1/tcp/0'],
        mayDial: (address) => roams && address.startsWith('/ip4/127.0.0.1/'),
        directory: { settleMs: 100 },
      },
    ),
})

// A node in a process of its own, which a test can kill: sends its address, then serves one block for ever.
import { randomBytes } from 'node:crypto'
import { createNetwork } from '../../src/network/libp2p-network.ts'
import { aBlock, Recorder } from '../conformance/network-suite.ts'
import { quiet } from './makers.ts'

const network = await createNetwork(
  { log: quiet },
  { seed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'] },
)
const told = new Recorder()
told.hold(aBlock(1024 * 1024, 1))
await network.start(told)
process.send?.(network.multiaddrs()[0])
process.on('disconnect', () => process.exit())

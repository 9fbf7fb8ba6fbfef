// `status`, `peers`, `connect` and `version`.
import type { Command } from 'commander'
import type { DatasetInfo, NodeStatus } from '../contract/api.ts'
import { countText, pairs, sizeText, table } from './output.ts'
import type { Session } from './session.ts'
import { examples, task } from './task.ts'

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('the node and its datasets')
    .action(
      task((session: Session) =>
        session.withNode(async (api) => {
          const status = await api.status()
          session.output.result(status, () => statusText(status))
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node status', 'gonk-node status --json']))
  program
    .command('peers')
    .description('the nodes this one is connected to')
    .action(
      task((session: Session) =>
        session.withNode(async (api) => {
          const result = await api.peers()
          session.output.result(result, () => {
            if (!result.running)
              return 'no daemon runs, so there are no peers; `gonk-node start` starts one'
            const rows = result.peers.map((peer) => [
              peer.peerId,
              peer.direction,
              countText(peer.datasets.length, 'dataset'),
              peer.multiaddrs[0] ?? '',
            ])
            return table(['PEER', 'DIRECTION', 'SHARES', 'ADDRESS'], rows, 'no peers')
          })
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node peers']))
  program
    .command('connect')
    .argument('<multiaddr>', 'such as /ip4/10.0.0.2/tcp/4050/p2p/ID')
    .description('dial another node')
    .action(
      task((session: Session, multiaddr: string) =>
        session.withNode(async (api) => {
          const result = await api.connect(multiaddr, { signal: session.signal })
          session.output.result(result, () => `connected to ${result.peerId}`)
        }),
      ),
    )
    .addHelpText('after', examples(['gonk-node connect /ip4/10.0.0.2/tcp/4050/p2p/12D3KooW…']))
  program
    .command('version')
    .description('versions of gonk-node and of what it runs on')
    .action(
      task(async (session: Session) => {
        const { version } = await import('../version.ts')
        const { platform, arch } = process
        const result = { version, node: process.versions.node, platform: `${platform}-${arch}` }
        session.output.result(
          result,
          () => `gonk-node ${version} (Node ${result.node}, ${result.platform})`,
        )
      }),
    )
    .addHelpText('after', examples(['gonk-node version', 'gonk-node version --json']))
}

function statusText(status: NodeStatus): string {
  return [
    pairs({
      'peer id': status.peerId,
      'public key': status.publicKey,
      addresses: status.multiaddrs.join(' ') || 'none',
      peers: status.daemon ? status.peers : 'no daemon runs',
    }),
    '',
    datasetTable(status.datasets),
  ].join('\n')
}

export function datasetTable(datasets: readonly DatasetInfo[]): string {
  const rows = datasets.map((dataset) => [
    dataset.name,
    dataset.role,
    dataset.counts.files,
    sizeText(dataset.counts.bytes),
    dataset.counts.pending,
    dataset.peers,
    dataset.pinned ? 'pinned' : dataset.sync.state,
    dataset.root,
  ])
  const header = ['DATASET', 'ROLE', 'FILES', 'SIZE', 'PENDING', 'PEERS', 'SYNC', 'ROOT']
  return table(header, rows, 'no datasets')
}

// digest: not the same alarms. A checkpoint on the chain that the user trusts was not counted as final by its
// votes when it was looked at again: the fork beside it was told of before a restart, and not after it.
// Found by: npm run simulate -- --seed 1221
import { staysFixed } from '../stays-fixed.ts'

staysFixed({
  seed: 1221,
  nodes: 2,
  founders: 1,
  kOwner: 1,
  kReview: 1,
  isTwin: false,
  unlinkedPercent: 0,
  lossPercent: 0,
  doublePercent: 0,
  poolBytesMax: 1000000,
  actions: [
    { atMs: 8240, kind: 'backup', pick: 1083063849 },
    { atMs: 8388, kind: 'settle', pick: 1973901438 },
    { atMs: 15151, kind: 'rivalCheckpoint', pick: 368312598 },
    { atMs: 21715, kind: 'trust', pick: 1587561192 },
    { atMs: 24235, kind: 'settle', pick: 2112527639 },
  ],
})

// reference: names file a/b/c: the reference says "3680e17396d9a11eae4d386327254d1e447b153127…
// Found by: npm run simulate -- --seed 117
import { staysFixed } from '../stays-fixed.ts'

staysFixed({
  seed: 117,
  nodes: 2,
  founders: 1,
  kOwner: 1,
  kReview: 1,
  isTwin: false,
  unlinkedPercent: 0,
  lossPercent: 0,
  doublePercent: 0,
  poolBytesMax: 4000,
  actions: [
    { atMs: 2852, kind: 'undermine', pick: 437439398 },
    { atMs: 6006, kind: 'settle', pick: 365181502 },
    { atMs: 7872, kind: 'keepBack', pick: 760749691 },
    { atMs: 9743, kind: 'review', pick: 969733296 },
    { atMs: 10252, kind: 'settle', pick: 991028586 },
  ],
})

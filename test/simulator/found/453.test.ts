// behind: not all nodes catch up. A peer's owner set changed after it was compared and before the pool
// was: the session counted as done for the new one, and was never held again.
// Found by: npm run simulate -- --seed 453 --steps 900
import { staysFixed } from '../stays-fixed.ts'

staysFixed({
  seed: 453,
  nodes: 5,
  founders: 1,
  kOwner: 1,
  kReview: 1,
  isTwin: false,
  unlinkedPercent: 30,
  lossPercent: 0,
  doublePercent: 30,
  poolBytesMax: 20000,
  actions: [
    { atMs: 234, kind: 'addOwner', pick: 2042351898 },
    { atMs: 252, kind: 'addOwner', pick: 162792062 },
    { atMs: 904, kind: 'propose', pick: 1581137909 },
    { atMs: 3047, kind: 'review', pick: 749274305 },
    { atMs: 4735, kind: 'endorse', pick: 1926310578 },
    { atMs: 5435, kind: 'equivocate', pick: 1127444588 },
    { atMs: 5716, kind: 'review', pick: 2058783671 },
    { atMs: 7659, kind: 'addOwner', pick: 82562026 },
    { atMs: 8325, kind: 'review', pick: 519605652 },
    { atMs: 9329, kind: 'propose', pick: 661721325 },
    { atMs: 10276, kind: 'addOwner', pick: 1473557858 },
    { atMs: 10840, kind: 'crashBeforeWrite', pick: 563815746 },
    { atMs: 12981, kind: 'crashBeforeWrite', pick: 679528048 },
    { atMs: 15576, kind: 'goOnAfterRemoval', pick: 1528171484 },
    { atMs: 16286, kind: 'propose', pick: 1827382240 },
    { atMs: 18230, kind: 'release', pick: 1196629734 },
    { atMs: 20048, kind: 'propose', pick: 114404530 },
    { atMs: 21291, kind: 'addOwner', pick: 1428111261 },
    { atMs: 21474, kind: 'propose', pick: 128740593 },
    { atMs: 22543, kind: 'review', pick: 1791992826 },
  ],
})

// Stands in for @libp2p/upnp-nat: gonk-node never uses it, and installing it costs tens of megabytes.
const absent = (name) => () => {
  throw new Error(`@libp2p/upnp-nat is left out of gonk-node (${name})`)
}
export const uPnPNAT = absent('uPnPNAT')

// Stands in for @libp2p/mdns: gonk-node never uses it, and installing it costs tens of megabytes.
const absent = (name) => () => {
  throw new Error(`@libp2p/mdns is left out of gonk-node (${name})`)
}
export const mdns = absent('mdns')

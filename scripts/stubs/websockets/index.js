// Stands in for @libp2p/websockets: gonk-node never uses it, and installing it costs tens of megabytes.
const absent = (name) => () => {
  throw new Error(`@libp2p/websockets is left out of gonk-node (${name})`)
}
export const webSockets = absent('webSockets')

// Stands in for @libp2p/http: gonk-node never uses it, and installing it costs tens of megabytes.
const absent = (name) => () => {
  throw new Error(`@libp2p/http is left out of gonk-node (${name})`)
}
export const http = absent('http')

// Stands in for @ipshipyard/libp2p-auto-tls: gonk-node never uses it, and installing it costs tens of megabytes.
const absent = (name) => () => {
  throw new Error(`@ipshipyard/libp2p-auto-tls is left out of gonk-node (${name})`)
}
export const autoTLS = absent('autoTLS')

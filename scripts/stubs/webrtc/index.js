// Stands in for @libp2p/webrtc: gonk-node never uses it, and installing it costs tens of megabytes.
const absent = (name) => () => {
  throw new Error(`@libp2p/webrtc is left out of gonk-node (${name})`)
}
export const webRTC = absent('webRTC')
export const webRTCDirect = absent('webRTCDirect')

// Package session is the channel between a device and a node of a reference fleet,
// and between two nodes of it: TLS 1.3 in which a node's key is its HSM's key of the
// session role, and no certificate authority is asked.
//
// A node is a [Server]. Its first frame is the fleet's bundle with its proof. A device
// is a [Client]: it judges that answer as package bundle/device does, by the policy
// that it pins and the state that it keeps, before it sends a byte of its own; then it
// demands that the key which TLS has shown is the bundle's key of that node in the
// session role. [Stream] is the channel on which nodes replicate: both sides show such
// keys, of one and the same bundle.
//
// Go's TLS has no raw public keys (RFC 7250): a node's certificate is signed by itself,
// and nothing in it counts but the key.
package session

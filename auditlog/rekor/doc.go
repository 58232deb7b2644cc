// Package rekor has entries logged by Rekor servers: version 1 (sigstore/rekor)
// through its own client and types, version 2 (sigstore/rekor-tiles) through
// its one call.
//
// It is apart from package auditlog, which verifies entries, because it imports
// rekor and the network. Nothing that it gets from a server is believed:
// [Client.Append] gives back a file that package auditlog has verified under
// the pinned keys, or an error.
package rekor

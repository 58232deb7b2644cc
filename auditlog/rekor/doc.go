// Package rekor submits entries to Rekor servers: to version 1 (sigstore/rekor)
// with its own client and types, to version 2 (sigstore/rekor-tiles) with its only
// request.
//
// It is apart from package auditlog, which verifies entries, because it imports
// rekor and the network. It trusts nothing that a server answers:
// [Client.Append] gives an entry that package auditlog has verified under the
// pinned keys, or an error.
package rekor

// Package bundle reads, makes and verifies what a fleet of HSMs publishes
// about its keys: the fleet key set, a third party's statement about it, the
// operator's countersignature, and the validation bundle of all three that an
// HSM hands to a device.
//
// Most callers need two functions: ParseBundle and (*Bundle).Verify. A device
// needs one, Check, which takes the log's proof as well.
//
// Parsing checks that bytes are well-formed and agree with each other; it checks
// no signature. Verifying checks signatures by a Trust, which never comes from the
// bytes that it judges. What is hashed, signed or logged is always the exact bytes
// that were read (Raw), never bytes that were encoded again.
//
// The package is pure: it uses no network, no clock and no files. A format's first
// field has its version; this package reads only v1.
package bundle

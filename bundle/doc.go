// Package bundle reads, makes and verifies what a fleet of HSMs publishes
// about its keys: the fleet key set, a third party's statement about it, the
// operator's countersignature, and the validation bundle of all three that an
// HSM hands to a device.
//
// Most callers need two functions: ParseBundle and (*Bundle).Verify. A device
// needs one, Check, which takes the log's proof as well.
//
// Parsing says that bytes are well-formed and agree with each other; it checks
// no signature. Verifying checks them against a Trust, which never comes from
// the bytes it judges. What is hashed, signed or logged is always the exact
// bytes that were read (Raw), never a re-serialisation.
//
// The package is pure: no network, no clock, no files. The formats carry their
// version in their first field; this package reads v1 and nothing else.
package bundle

// Package witness is both sides of C2SP tlog-witness, add-checkpoint: what a
// log does to have its checkpoints cosigned, and what a witness does before it
// cosigns one.
//
// A log calls [Client.Collect] after it has signed and published a checkpoint.
// This order is deliberate: the entry is logged whatever the witnesses do, a
// witness that is down delays nobody, and the next run fetches the cosignatures
// that are missing.
//
// A witness calls [Witness.Cosign], or serves [Witness.Handler]. It cosigns a
// checkpoint only if that continues the last one it has cosigned, and writes
// the new one to disk before it uses its key. After a crash it may remember a
// checkpoint that it didn't get to sign; that makes it refuse nothing honest. A
// request has the same bytes over HTTP and on a memory stick, so that a log
// without a network can have witnesses too.
package witness

// Package witness is both sides of C2SP tlog-witness, add-checkpoint: what a
// log does to have its checkpoints cosigned, and what a witness does before it
// cosigns one.
//
// A log calls [Client.Collect] after it has signed and published a checkpoint.
// That order is a decision: the entry is logged whatever the witnesses do, one
// that is down holds nobody up, and what is missing is fetched by the next run.
//
// A witness calls [Witness.Cosign], or serves [Witness.Handler]. It cosigns a
// checkpoint only if that continues the last one it has cosigned, and makes
// the new one durable before its key is used: after a crash it may remember
// more than it has signed, which refuses nothing honest. A request is the same
// bytes over HTTP and on a stick, so that a log without a network has witnesses
// too.
package witness

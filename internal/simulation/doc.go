// Package simulation has whole ceremonies, third parties' ledgers, witnesses,
// monitors and saved histories live through crashes, on disks in memory that
// forget what was not synced: every call that changes anything is hit by every
// fault in its turn. What is left of a ceremony is gone on with or aborted,
// brought to its end, and verified by a stranger; who remembers what a log or an
// auditor has shown forgets nothing that somebody was told of.
//
// It has tests alone. What follows from a seed is the same each time, so that a
// fault that was found is seen again: the test that fails says how.
package simulation

// Package simulation has whole ceremonies, third parties' ledgers and logs live
// through crashes, on disks in memory that forget what was not synced: every
// call that changes anything is hit by every fault in its turn, and what is left
// is gone on with, brought to its end, and verified by a stranger.
//
// It has tests alone. What follows from a seed is the same each time, so that a
// fault that was found is seen again: the test that fails says how.
package simulation

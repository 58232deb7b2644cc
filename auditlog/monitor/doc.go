// Package monitor reads whole logs: once and from nothing ([Audit]), or again
// and again from where it stopped ([Monitor]).
//
// Both walk the log in the same way. They read every entry bundle, hash every
// entry, compare every tile with the hashes below it, and compare the root with
// the one that the log signed. So nothing that the log serves is taken on trust,
// and a tree that doesn't continue the one walked before can't have the right
// root. Between two walks only the right edge of the tree is kept: at most 255
// hashes for each level of tiles, whatever the log's size.
//
// The caller hands in a [Judge], which says what entries mean.
//
// If the log shows a tree that doesn't continue the last one, the monitor keeps
// both signed checkpoints, with the proof that they contradict each other
// ([auditlog.SplitView]). Anyone who pins the log's key can check that alone.
package monitor

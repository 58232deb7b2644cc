// Package monitor reads whole logs: once and from nothing ([Audit]), or again
// and again from where it stopped ([Monitor]).
//
// Both walk the same way. Every entry bundle is read, every entry hashed, every
// tile above it compared with what the hashes give, and the root with what the
// log signed; so nothing the log serves is taken on trust, and a tree that
// doesn't continue the one walked before can't have the right root. What is
// kept between two walks is the right edge of the tree, at most 255 hashes a
// level, whatever the log's size.
//
// What an entry means is the [Judge]'s to say, which is handed in.
//
// Where the log shows a tree that doesn't continue the last one, both signed
// checkpoints are kept, with the proof that they contradict each other
// ([auditlog.SplitView]): whoever pins the log's key can check that alone.
package monitor

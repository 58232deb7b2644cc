// Package hsmhost is the process in which a node's PKCS#11 module runs: a hidden
// subcommand of this program. Modules of software tokens write files, and some lose them
// when the process they are in is killed in the middle; so a node's process, which a
// drill kills, is another one than its HSM's.
//
// The process is given its configuration and the PIN over a pipe, and a socket on which
// it listens. Nodes connect to the socket, one at a time: the HSM signs, agrees and
// keeps the anchor for the one that is connected, and for the next one once that is
// gone. It ends when the pipe does, together with whoever started it.
package hsmhost

// Package device is what a phone does with a fleet's answer: it judges a bundle and
// its proof by what the app pins, and keeps what must not be forgotten from one
// check to the next.
//
// Most callers need one function, [Check]: the whole check in one call, with the
// state read, judged by its guard and written durably before anything is accepted.
// [Judge] is the same for bytes alone. Neither reads a clock or reaches a network:
// bundle, proof and time are handed in.
//
// The state says which epochs of the fleet were seen. Whoever can put an older one
// back can have the device accept keys that were superseded or retired. So its
// digest stands in a second place, the guard, which is worth as much as that place
// is harder to write than the state's: see docs/devices.md.
package device

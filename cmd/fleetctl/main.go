//go:build !man

// Command fleetctl runs key ceremonies for fleets of HSMs, has the result
// signed by an independent third party, publishes it, and verifies all of it
// offline.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Stdin, os.Stdout, os.Stderr, os.Args[1:]))
}

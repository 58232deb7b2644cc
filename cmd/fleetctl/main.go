// Command fleetctl runs key ceremonies for fleets of HSMs, has the result
// signed by an independent third party, publishes it, and verifies all of it
// offline.
package main

import (
	"context"
	"os"
)

func main() { os.Exit(Main()) }

// Main is the whole program but for its exit, so that tests can run it as one
// of their commands.
func Main() int { return run(context.Background(), os.Stdin, os.Stdout, os.Stderr, os.Args[1:]) }

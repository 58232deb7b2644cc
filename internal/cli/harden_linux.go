package cli

import (
	"golang.org/x/sys/unix"
)

// hardenProcess keeps PINs out of core files and other processes' reach: no
// core is written, and only root may attach a debugger. A system that refuses
// still runs the program: it protects the secrets, not the result.
func hardenProcess() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

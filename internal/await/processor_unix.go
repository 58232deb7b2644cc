//go:build unix

package await

import (
	"syscall"
	"time"
)

// Processor is the processor time that this process has had, on all cores: what
// it costs to do something, however busy the machine is with other things.
func Processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

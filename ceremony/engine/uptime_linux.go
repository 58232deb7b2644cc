package engine

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func readUptime() uptime {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return uptime{}
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return uptime{}
	}
	return uptime{strings.TrimSpace(string(boot)), time.Duration(t.Nano())}
}

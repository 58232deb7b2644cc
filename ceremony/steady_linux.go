package ceremony

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func readSteady() steady {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return steady{}
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return steady{}
	}
	return steady{strings.TrimSpace(string(boot)), time.Duration(t.Nano())}
}

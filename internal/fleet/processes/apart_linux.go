package processes

import (
	"os/exec"
	"syscall"
)

// apart gives a process a group of its own, and has the kernel end it when this program
// is gone, however that ended.
func apart(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

package await

import (
	"os/exec"
	"syscall"
)

// tie has the kernel kill a child when this process is gone: a test that is killed
// itself cleans nothing up.
func tie(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}

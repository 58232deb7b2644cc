//go:build !linux

package await

import "os/exec"

func tie(*exec.Cmd) {}

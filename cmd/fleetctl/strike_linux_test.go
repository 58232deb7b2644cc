//go:build cgo && linux && amd64

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// strike runs a command under ptrace and sends it a signal right before the n-th
// system call by which it, or a process that it started, would change a file below
// dir: every moment at which a power cut, a kill or a closed terminal can leave
// something half done. It gives the number of such calls up to then or, where
// there are fewer than n, in all; and how the command ended.
func strike(cmd *exec.Cmd, dir string, n int, sig syscall.Signal) (calls int, end syscall.WaitStatus, err error) {
	runtime.LockOSThread() // the thread that starts it is the one that may trace it
	defer runtime.UnlockOSThread()
	out, err := os.OpenFile(filepath.Join(dir, "said"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, 0, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	s := &striker{dir: dir, pid: cmd.Process.Pid, n: n, sig: sig}
	return s.trace()
}

type striker struct {
	dir   string
	pid   int
	n     int
	sig   syscall.Signal
	calls int
}

const (
	traceExitKill = 0x100000
	sysGood       = 0x80 // in a stop's signal: it is a system call's
	waitAll       = 0x40000000
)

func (s *striker) trace() (int, syscall.WaitStatus, error) {
	defer func() { _ = syscall.Kill(-s.pid, syscall.SIGKILL) }()
	var status, end syscall.WaitStatus
	if _, err := syscall.Wait4(s.pid, &status, 0, nil); err != nil {
		return 0, 0, err
	}
	err := syscall.PtraceSetOptions(s.pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACEFORK|syscall.PTRACE_O_TRACEVFORK|traceExitKill)
	if err != nil {
		return 0, 0, err
	}
	if err := syscall.PtraceSyscall(s.pid, 0); err != nil {
		return 0, 0, err
	}
	begun := map[int]bool{s.pid: true}
	for {
		tid, err := syscall.Wait4(-s.pid, &status, waitAll, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD):
			return s.calls, end, nil
		case err != nil:
			return 0, 0, err
		case status.Exited() || status.Signaled():
			if tid == s.pid {
				end = status
			}
			continue
		}
		pass := 0
		switch got := status.StopSignal(); {
		case got == syscall.SIGTRAP|sysGood:
			s.call(tid)
		case got == syscall.SIGTRAP:
		case got == syscall.SIGSTOP && !begun[tid]:
			begun[tid] = true
		default:
			pass = int(got)
		}
		_ = syscall.PtraceSyscall(tid, pass) // one that was killed meanwhile is gone
	}
}

// call counts a system call that changes a file, and strikes at the n-th.
func (s *striker) call(tid int) {
	var regs syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &regs) != nil || int64(regs.Rax) != -int64(syscall.ENOSYS) || !s.changes(tid, &regs) {
		return // it is over, or none of ours
	}
	if s.calls++; s.calls == s.n {
		to := s.pid
		if s.sig == syscall.SIGKILL {
			to = -s.pid // the power is gone for all of them
		}
		_ = syscall.Kill(to, s.sig)
	}
}

// changes says that a call changes one of fleetctl's files: what SoftHSM does to
// its tokens' is its own to mend.
func (s *striker) changes(tid int, regs *syscall.PtraceRegs) bool {
	path := ""
	switch regs.Orig_rax {
	case syscall.SYS_WRITE, syscall.SYS_PWRITE64, syscall.SYS_FSYNC, syscall.SYS_FDATASYNC, syscall.SYS_FTRUNCATE:
		path, _ = os.Readlink("/proc/" + strconv.Itoa(tid) + "/fd/" + strconv.Itoa(int(regs.Rdi)))
		if !strings.HasPrefix(path, s.dir+"/") || path == filepath.Join(s.dir, "said") {
			return false
		}
	case syscall.SYS_OPENAT:
		if regs.Rdx&(syscall.O_CREAT|0x400000) == 0 { // O_TMPFILE
			return false
		}
		path = text(tid, regs.Rsi)
	case syscall.SYS_OPEN:
		if regs.Rsi&syscall.O_CREAT == 0 {
			return false
		}
		path = text(tid, regs.Rdi)
	case syscall.SYS_RENAMEAT, 316, syscall.SYS_UNLINKAT, syscall.SYS_MKDIRAT:
		path = text(tid, regs.Rsi)
	case syscall.SYS_LINKAT:
		path = text(tid, regs.R10)
	case syscall.SYS_RENAME, syscall.SYS_LINK, syscall.SYS_UNLINK, syscall.SYS_MKDIR, syscall.SYS_RMDIR:
		path = text(tid, regs.Rdi)
	default:
		return false
	}
	return !strings.HasPrefix(path, filepath.Join(s.dir, "tokens"))
}

// text is a string in the traced process.
func text(tid int, at uint64) string {
	var b [512]byte
	n, _ := syscall.PtracePeekData(tid, uintptr(at), b[:])
	s, _, _ := strings.Cut(string(b[:n]), "\x00")
	return s
}

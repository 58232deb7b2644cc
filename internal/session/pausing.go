package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Pausing adds to an error that pauses a ceremony how the ceremony goes on.
func Pausing(dir string, err error) error {
	var p *folder.Pending
	if errors.As(err, &p) {
		how := script.Sign(words.ShellWord(dir), p.What)
		if p.What == "the plan" {
			how = "fleetctl plan approve PLAN --key KEY"
		}
		if len(p.Unheard) > 0 {
			how += "\nor, of who gives none, officers accept\nfleetctl ceremony exception " + words.ShellWord(dir) + " --absent NAME --expected … --happened … --decided …"
		}
		var w *folder.Missing
		if errors.As(err, &w) && w.Exception > 0 {
			return cli.Exit(cli.ExitPending, strict.Errorf(dir, "%v", err).WithHint("without that the evidence will not verify; each signs with\n%s\nthen run this command again", how))
		}
		return cli.Exit(cli.ExitPending, strict.Errorf(dir, "%v", p).WithHint("each signs with\n%s\nthen run this command again", how))
	}
	var clock *engine.ClockFault
	if errors.As(err, &clock) {
		return err // its hint says how to go on
	}
	var unfit *ui.AnswerError
	if cli.ExitCode(err) == cli.ExitUsage && !errors.As(err, &unfit) {
		return err // nothing was begun that could pause
	}
	account, rerr := folder.ReadToLastRecord(dir)
	if rerr != nil || account.Open == nil || account.Ended() {
		return err
	}
	where := strict.Errorf(dir, "%s; the ceremony stands after record %d", strings.TrimPrefix(cli.InWords(err), dir+": "), account.N)
	head := "its head: " + words.Head(account.Head[:]) + " …\n"
	code := cli.ExitCode(err)
	switch {
	case errors.Is(err, ui.ErrException):
		code = cli.ExitPending
		where.WithHint(head+"record it, have it accepted, and go on:\nfleetctl ceremony exception %s --expected … --happened … --decided …\nfleetctl ceremony sign %s --approve exception --key KEY", dir, dir)
	case errors.Is(err, ui.ErrAdjourn):
		code = cli.ExitPending
		where.WithHint(head+"it is adjourned between two steps:\nfleetctl ceremony adjourn %s --reason …", dir)
	case !account.Opened():
		where.WithHint("%s", head+"no HSM was unlocked yet: run the same command again, it goes on here")
	default:
		resume := "--site SITE"
		if _, ok := account.NextAttestation(); ok {
			head += "each key's nonce, and its file's name: fleetctl ceremony status " + dir + "\n"
			resume += " --attestations FOLDER"
		}
		where.WithHint(head+pinFirst(err)+lost(account)+"Go on with\nfleetctl ceremony sign %s --approve resume --key KEY\nfleetctl ceremony resume %s %s\nor end it with\nfleetctl ceremony abort %s --site SITE --reason …", dir, dir, resume, dir)
	}
	return cli.Exit(code, where)
}

// InRoom is Pausing for ceremony room: the ceremony goes on with the same command.
func InRoom(dir string, err error) error {
	var clock *engine.ClockFault
	var other *engine.OtherProgram
	account, rerr := folder.ReadToLastRecord(dir)
	var p *folder.Pending
	code := cli.ExitCode(err)
	switch {
	case errors.As(err, &other) && !errors.Is(err, ui.ErrStop):
		return cli.Exit(cli.ExitPending, err) // it says how to go on
	case errors.As(err, &clock), rerr != nil || account.Open == nil || account.Adjourned || account.Ended() && account.Close == nil:
		return err
	case errors.As(err, &p):
		code = cli.ExitPending
	case code == cli.ExitUsage || code == cli.ExitWrong:
		return err
	}
	where := strict.Errorf(dir, "%s; the ceremony stands after record %d", strings.TrimPrefix(cli.InWords(err), dir+": "), account.N)
	hint := "its head: " + words.Head(account.Head[:]) + " …\n" + pinFirst(err)
	if account.DueAct() == ceremony.ApproveResume {
		hint += lost(account)
	}
	return cli.Exit(code, where.WithHint("%s", hint+"run the same command again: it goes on here"))
}

// lost says what is lost by an interruption: a key whose checks were not finished.
func lost(account *ceremony.Account) string {
	k := account.OpenIntent()
	if k == nil {
		return "nothing is lost. "
	}
	if account.Plan.Destroys != nil {
		return fmt.Sprintf("what the HSM still holds of the key of %s %s is found out then;\nnothing else is lost. ", k.HSM, k.Role)
	}
	return fmt.Sprintf("the key of %s %s that was not confirmed will be destroyed and made anew;\nnothing else is lost. ", k.HSM, k.Role)
}

// pinFirst is a line that says what a token's error about a PIN means; empty for other
// errors.
func pinFirst(err error) string {
	if hint := cli.AboutPIN(err); hint != "" {
		return hint + "\n"
	}
	return ""
}

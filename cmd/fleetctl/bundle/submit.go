package bundle

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/submit"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type submitOptions struct {
	auditor
	party string
	wait  time.Duration
}

func submitCmd(a *cli.App) *cobra.Command {
	var o submitOptions
	c := cli.Command("submit DIR", "Have a third party's live service sign the epoch, and take its statement in",
		`Submit sends epoch and digest, as Cloudflare's auditor takes them: POST
ADDRESS/namespaces/NAMESPACE/audits. Nothing else leaves, and nothing before
officers have approved the request. What is sent is written to DIR/private
before, and the service is asked for the statement before anything is sent: a
submission that was interrupted is found, and not made again.

The answer is verified under the plan's key and taken in as bundle import does
it. One about another digest is equivocation: it is refused, recorded as that,
and kept in DIR/private/submissions. A service that has yet to sign says so
(202): the command then ends with exit code 3, and is run again later, or asks
again for as long as --wait says, as often as the service wishes.

Such a service signs a digest and sees no evidence. A third party with fleetctl
waits for the request, which goes to it in another way.`,
		`  fleetctl bundle submit ceremony --url https://plexi.key-transparency.cloudflare.com --cert operator.pem --cert-key operator.key
  fleetctl bundle submit ceremony --party auditor.example --url https://auditor.example:8443 --server-ca auditor-ca.pem --cert operator.pem --cert-key operator.key --wait 2h`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "url"); err != nil {
				return err
			}
			if strings.HasPrefix(o.url, "https:") {
				if err := cli.Required(cmd, "cert", "cert-key"); err != nil {
					return err
				}
			}
			return submitEpoch(cmd.Context(), a, args[0], &o)
		})
	o.flags(c, "the `address` of the third party's live service")
	c.Flags().StringVar(&o.party, "party", "", "the third party's `name` in the plan, where it has several")
	cli.Duration(c.Flags(), &o.wait, "wait", 0, "ask again for this `long` where it isn't signed yet, such as 2h")
	return c
}

func submitEpoch(ctx context.Context, a *cli.App, dir string, o *submitOptions) error {
	var s *submit.Submission
	err := session.WithFolder(a, dir, func(j *engine.Journal) (err error) {
		s, err = newSubmission(a, j, o)
		return err
	}, answering...)
	if err != nil {
		return err
	}
	// The ceremony's folder is free meanwhile: another answer may come.
	r, err := s.Run(ctx)
	var pending *submit.Pending
	if errors.As(err, &pending) && o.wait > 0 {
		r, err = s.Await(ctx, pending, o.wait)
	}
	switch {
	case errors.As(err, &pending):
		return cli.Exit(cli.ExitPending, strict.Errorf(o.url, "%v", err).
			WithHint("run the same command again, in %s or later: it asks for the statement first", strict.FormatDuration(pending.After)))
	case err != nil:
		return refused(err)
	}
	if s.Kept != "" {
		a.UI.Say(a.UI.Talk.Line("the statement is about another digest; it is kept as " + s.Kept))
	}
	return session.WithFolder(a, dir, func(j *engine.Journal) error { return importAnswer(a, j, s.Client.Address(s.Epoch), r) }, answering...)
}

// refused is the exit code of what a service did: an answer that is wrong is evidence
// that is wrong, no answer at all is a failure.
func refused(err error) error {
	var wrong *strict.Error
	if errors.As(err, &wrong) {
		return cli.Wrong(err)
	}
	return err
}

func newSubmission(a *cli.App, j *engine.Journal, o *submitOptions) (*submit.Submission, error) {
	account := j.Account()
	plan := account.Plan
	party, err := partyOf(plan, o.party)
	if err != nil {
		return nil, err
	}
	if account.Request == nil {
		return nil, cli.Usage(strict.Errorf(j.Dir(), "nothing has been requested yet").WithHint("officers approve it first:\nfleetctl bundle request %s", words.ShellWord(j.Dir())))
	}
	c, err := o.client(a, plan.Namespace)
	if err != nil {
		return nil, err
	}
	return &submit.Submission{
		Dir: filepath.Join(j.Dir(), ceremony.PrivateDir, "submissions"), Party: party.Name, Key: party.Key,
		Client: c, Epoch: plan.Epoch, Digest: account.Release.Artifact, Now: a.Now,
		Told: func(what string) { a.UI.Say(a.UI.Talk.Line(what)) },
	}, nil
}

// partyOf is the third party of that name, or the only one.
func partyOf(p *ceremony.Plan, name string) (*ceremony.ThirdParty, error) {
	if name == "" && len(p.ThirdParties) == 1 {
		return &p.ThirdParties[0], nil
	}
	var names []string
	for i := range p.ThirdParties {
		if p.ThirdParties[i].Name == name {
			return &p.ThirdParties[i], nil
		}
		names = append(names, p.ThirdParties[i].Name)
	}
	if name == "" {
		return nil, cli.Usagef("the plan has "+strings.Join(names, ", "), "--party is missing: whose service it is")
	}
	return nil, cli.Usagef("the plan has "+strings.Join(names, ", "), "--party %s is none of the plan's third parties", name)
}

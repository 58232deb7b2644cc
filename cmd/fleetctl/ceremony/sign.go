package ceremony

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type signOptions struct {
	approve, signoff, verdict, key, signature, text, role string
	exceptions                                            []int
	session.StandIn
}

func signCmd(a *cli.App) *cobra.Command {
	var o signOptions
	c := cli.Command("sign DIR", "Approve an act, or sign a stage off, with one's own key",
		`Sign shows how the ceremony went so far, what signing means, which files have
the digests in it, and the text, made from the ceremony's state; it signs
exactly that (SSHSIG). --approve open, resume, reconvene, exception, request or
countersign is for officers; --approve abort, over an abort's record, and
--signoff release or close, with a verdict, are for officers, witness and
auditor. To sign elsewhere: --text-out FILE --role ROLE writes the text,
ssh-keygen -Y sign signs it, --signature FILE.sig takes the result in.`,
		`  fleetctl ceremony sign ceremony --approve open --key olga
  fleetctl ceremony sign ceremony --signoff release --verdict agree --key wanda
  fleetctl ceremony sign ceremony --signoff close --verdict agree-with-exceptions --exceptions 2 --key ada`,
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			if (o.approve == "") == (o.signoff == "") {
				return cli.Usagef("", "give either --approve ACT or --signoff STAGE")
			}
			account, err := folder.ReadToLastRecord(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			if err := o.Use(a, account.Plan.Mode); err != nil {
				return err
			}
			return o.Over(signWithKey(a, args[0], account, o))
		})
	signer.SignatoryFlags(c, &o.key, &o.signature)
	f := c.Flags()
	f.StringVar(&o.approve, "approve", "", "the `act`: open, resume, reconvene, exception, request, countersign, abort")
	f.StringVar(&o.signoff, "signoff", "", "the `stage`: release or close")
	f.StringVar(&o.verdict, "verdict", "", "agree, agree-with-exceptions or do-not-agree")
	f.IntSliceVar(&o.exceptions, "exceptions", nil, "the `numbers` of the exceptions agreed to; with --approve exception, the one to accept (default: the first that lacks officers)")
	o.AnswersFlag(c)
	f.StringVar(&o.text, "text-out", "", "write the text to be signed elsewhere to this new `file`, and sign nothing")
	f.StringVar(&o.role, "role", "", "whose text: officer, witness or auditor (with --text-out)")
	return c
}

// signWithKey makes the text for the person whose key it is, and signs it.
func signWithKey(a *cli.App, dir string, c *ceremony.Account, o signOptions) error {
	people, err := c.People()
	if err != nil {
		return err
	}
	if o.text != "" {
		return writeText(a, dir, c, o)
	}
	v, err := signer.OpenSignatory(a, o.key, o.signature)
	if err != nil {
		return err
	}
	defer v.Done()
	who, role, ok := people.RoleOf(v.Key)
	if !ok {
		return cli.Usagef("", "the key %s is nobody's in the plan", v.Key.Fingerprint())
	}
	if err := o.chooseException(dir, c, who); err != nil {
		return err
	}
	t, err := textToSign(dir, c, o, role)
	if err != nil {
		return cli.Usage(err)
	}
	err = a.UI.Keep(func() error {
		if err := session.ShowHistory(a, dir); err != nil {
			return cli.Wrong(err)
		}
		a.ShowText(t.Text)
		return session.ShowSigning(a, c, o.wish(), t, nil)
	})
	if err != nil {
		return err
	}
	consent := o.verdict
	if consent == "" {
		consent = "approve " + o.approve
	}
	sig, err := signer.AskAndSign(a, v, c.Plan.Mode, t.Namespace, t.Text, consent)
	if err != nil {
		return err
	}
	kept, err := folder.StoreSignature(dir, t.Folder, t.Name, people, t.Namespace, t.Text, sig)
	if err != nil {
		return cli.Wrong(err)
	}
	return signer.TellSigned(a, o.approve+o.signoff, kept, filepath.Join(dir, t.Folder))
}

func (o *signOptions) wish() folder.Wish {
	return folder.Wish{Act: o.approve, Stage: o.signoff, Verdict: o.verdict, Exceptions: o.exceptions}
}

// writeText writes the text for someone who signs elsewhere.
func writeText(a *cli.App, dir string, c *ceremony.Account, o signOptions) error {
	if err := o.chooseException(dir, c, ""); err != nil {
		return err
	}
	t, err := textToSign(dir, c, o, o.role)
	if err != nil {
		return cli.Usage(err)
	}
	if err := session.ShowHistory(a, dir); err != nil {
		return cli.Wrong(err)
	}
	if err := session.ShowSigning(a, c, o.wish(), t, nil); err != nil {
		return err
	}
	if err := cli.WriteNew(o.text, t.Text); err != nil {
		return err
	}
	return a.Emit(&signer.SignedJSON{What: "nothing", Name: o.text, Folder: t.Namespace}, a.UI.Fields([][2]string{
		{"text", o.text}, {"sign it with", "ssh-keygen -Y sign -n " + t.Namespace + " -f KEY " + o.text},
	}))
}

// textToSign is [folder.TextToSign], whose errors it says how to go on from.
func textToSign(dir string, c *ceremony.Account, o signOptions, role string) (*folder.ToSign, error) {
	if o.signoff == "" && !slices.Contains(ceremony.Acts(), o.approve) {
		return nil, strict.Errorf("--approve "+o.approve, "is no act that is approved").WithHint("acts: %s", strings.Join(ceremony.Acts(), ", "))
	}
	t, err := folder.TextToSign(dir, c, o.wish(), role)
	var early *folder.NotDue
	var unnamed *folder.Unnamed
	switch {
	case errors.As(err, &unnamed) && len(unnamed.There) == 0:
		err = strict.Errorf("--verdict "+o.verdict, "%v", err).WithHint("%s", "agree, or do-not-agree")
	case errors.As(err, &unnamed):
		err = strict.Errorf("--verdict "+o.verdict, "%v", err).WithHint("read them with\nfleetctl show %s\nthen name those you agree to, such as --exceptions %s", words.ShellWord(dir),
			strings.Trim(strings.ReplaceAll(fmt.Sprint(unnamed.There), " ", ","), "[]"))
	case errors.Is(err, folder.ErrNotAborted):
		err = strict.Errorf(dir, "%v", err).WithHint("%s", "an abort is signed when it is on the record: first\nfleetctl ceremony abort "+words.ShellWord(dir)+" --site SITE --reason …")
	case errors.Is(err, folder.ErrNoRequest):
		err = strict.Errorf(dir, "%v", err).WithHint("write it with\nfleetctl bundle request %s --out request.json", dir)
	case errors.As(err, &early) && early.Due == "":
		err = strict.Errorf(dir, "%v", err).WithHint("no act waits for officers here; see what is next with\nfleetctl ceremony status %s", words.ShellWord(dir))
	case errors.As(err, &early):
		err = strict.Errorf(dir, "%v", err).WithHint("what waits for officers is %q:\n%s", early.Due, script.Sign(words.ShellWord(dir), early.Due))
	}
	return t, err
}

// chooseException settles which exception is to be accepted: the one asked for
// with --exceptions, or else the first that waits for who.
func (o *signOptions) chooseException(dir string, c *ceremony.Account, who string) error {
	if o.approve != ceremony.ApproveException || c.Abort != nil || len(o.exceptions) == 1 {
		return nil
	}
	if len(o.exceptions) > 1 {
		return cli.Usagef("", "one exception is accepted at a time: name one with --exceptions")
	}
	n, err := folder.ExceptionToAccept(dir, c, who)
	if err != nil {
		return cli.Wrong(err)
	}
	o.exceptions = []int{n}
	return nil
}

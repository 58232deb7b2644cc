package evidence

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type verifyOptions struct {
	policy, expect, plan, logged, rekor, at, explain, media string
	from                                                    uint64
	only, statements, proofs, beside                        []string
	quiet, firstUse, script                                 bool
}

// Verify is fleetctl verify.
func Verify(a *cli.App) *cobra.Command {
	var o verifyOptions
	c := cli.Command("verify FILE|DIR…|-", "Verify any of our files, offline, under a policy",
		`Verify finds out what a file is (evidence package, validation bundle, third
party's statement, transcript) and verifies it, offline, under the keys that
the policy pins. Each claim is graded: proven, attested, device, not shown. It
exits 0 only if every claim that the policy demands is shown strongly enough,
nothing in the file is wrong, and each key of the policy says under confirmed:
how it was compared with its owner. A policy made from the very file that it
judges would pass anything: --trust-on-first-use takes it all the same.

A bundle is asked what a bundle can show, and the report names what it was not
asked: where nothing less than a package will do, say --expect evidence. Under
a name that ends in .tar a bundle is refused, unless one is expected. What a
verdict does not say, and what nobody could check, stands below it.

What else you have of the same namespace, --beside has considered: packages,
bundles, notices, each verified for itself, under the same policy. A second
ending of a ceremony or a second artifact of an epoch is wrong; a bundle whose
epoch is retired or void is not verified; of a package, which is history, the
first line says it. --expect current wants neither, nor a later epoch.

Several files, or a folder of them, are a chain: the packages and notices of a
namespace's epochs from 1 on, each with its proofs beside it. Each is verified
for itself, and all are held against each other: which epoch is missing, which
follows which, what was retired or void, whether two contradict each other. A
line tells of each epoch, and the verdict is about all.`,
		`  fleetctl verify evidence.tar --policy acme.yaml
  fleetctl verify bundle.json --policy acme.yaml
  fleetctl verify bundle.json --policy acme.yaml --expect current --beside end.json
  fleetctl verify epochs --policy acme.yaml --expect epochs
  fleetctl verify - --policy acme.yaml --format json < evidence.tar
  fleetctl verify evidence.tar --policy acme.yaml --report sarif=fleetctl.sarif --report junit=fleetctl.xml`,
		cobra.MinimumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if o.policy == "" {
				return cli.Usagef("a verdict is worth what its keys are: pin them in a policy of your own, see\nfleetctl policy new --help", "no policy: verify needs --policy FILE")
			}
			if !slices.Contains(objectTypes, evidence.Type(o.expect)) && o.expect != expectSplit && o.expect != expectCurrent && o.expect != expectEpochs {
				return cli.Usagef("it is evidence, bundle, notice, statement, transcript, abort, destruction, epochs, current or split-view", "--expect is %q", o.expect)
			}
			chain, err := isChain(args, o)
			if err != nil {
				return err
			}
			if !chain && cmd.Flags().Changed("from") {
				return cli.Usagef("", "--from goes with a chain of epochs, and this is one object")
			}
			if o.expect == expectCurrent && !chain && len(o.beside) == 0 {
				return cli.Usagef("give the newest bundle or notice there is with --beside", "--expect current: nothing is given that could show whether it is")
			}
			if cmd.Flags().Changed("only") && len(o.only) == 0 {
				return cli.Usagef("the claims are "+strings.Join(evidence.ClaimNames(), ", "), "--only names no claim")
			}
			if o.script && o.explain == "" {
				return cli.Usagef("the claims are "+strings.Join(evidence.ClaimNames(), ", "), "--script wants --explain CLAIM")
			}
			policy, err := readPolicy(o.policy)
			if err != nil {
				return err
			}
			if chain {
				return verifyEpochs(a, cmd, args, policy, o)
			}
			return verify(a, args[0], policy, o)
		})
	f := c.Flags()
	f.StringVar(&o.policy, "policy", "", "`file` of pinned keys and demanded claims")
	f.StringVar(&o.expect, "expect", "", "ask only what this `type` can show, and take no other: evidence, bundle, notice (a retirement or a void), statement, transcript, abort, destruction (of a retired fleet's keys), epochs (a chain of them), split-view; or current: a bundle, a package or a chain of which nothing beside it shows that its keys, of a chain the newest, are retired, void or superseded")
	f.Uint64Var(&o.from, "from", 1, "a chain's first `epoch`: what was before it is not asked for")
	f.StringArrayVar(&o.beside, "beside", nil, "a `file` or folder to be considered too: a package, bundle or notice of the same namespace, with its proofs beside it; may be repeated")
	f.StringSliceVar(&o.only, "only", nil, "ask only these of the policy's `claims`")
	f.StringVar(&o.plan, "plan", "", "plan `file` of a transcript (default: plan.yaml beside it)")
	f.StringArrayVar(&o.proofs, "proof", nil, "log proof `file` of a bundle (default: FILE.tlog-proof beside it, and FILE.tlog-proof-2 and so on); a further proof, of a package's bundle or end too, or a witness's request that continues a proof's checkpoint")
	f.StringVar(&o.logged, "evidence-proof", "", "log proof `file` of how a package's ceremony ended (default: evidence.tlog-proof beside evidence.tar)")
	f.StringVar(&o.rekor, "rekor", "", "Rekor entry `file` of a bundle (default: FILE.rekor.json beside it)")
	f.StringArrayVar(&o.statements, "statement", nil, "a late third party's statement `file`, or its response, beside a bundle or a package")
	f.StringVar(&o.media, "media", "", "a `folder` with a package's recordings: each that the package names is compared with it")
	f.StringVar(&o.at, "time", "", "judge as of this `time`, such as 2026-11-21T10:00:00Z (default: the clock)")
	f.StringVar(&o.explain, "explain", "", "say all there is to say about one `claim`: attributes, attempts, signatures with their places in the files, and the commands of other programs that check them, in the folder that the package was unpacked to")
	f.BoolVar(&o.script, "script", false, "with --explain: write a script that checks the claim without fleetctl; its --help is its head")
	f.BoolVar(&o.firstUse, "trust-on-first-use", false, "take keys that nobody compared with their owners, those without confirmed: in the policy")
	a.Reports(c)
	f.BoolVar(&o.quiet, "quiet", false, "print nothing, only set the exit code")
	return c
}

// expectCurrent is what --expect says to take a bundle or a package only if its
// keys are current.
const expectCurrent = "current"

var objectTypes = []evidence.Type{"", evidence.TypeEvidence, evidence.TypeBundle, evidence.TypeNotice, evidence.TypeStatement, evidence.TypeTranscript, evidence.TypeAbort, evidence.TypeDestruction}

func readPolicy(file string) (*evidence.Policy, error) {
	data, err := cli.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policy, err := evidence.ParsePolicy(file, data)
	if err != nil {
		return nil, cli.Usage(err)
	}
	return policy, nil
}

// now is the time that everything is judged at.
func (o verifyOptions) now(a *cli.App) (time.Time, error) {
	if o.at == "" {
		return a.Now(), nil
	}
	t, err := strict.ParseTime(o.at)
	if err != nil {
		return t, cli.Usagef("", "--time %v", err)
	}
	return t, nil
}

func verify(a *cli.App, file string, policy *evidence.Policy, o verifyOptions) error {
	in, err := input(a, file, o)
	if err != nil {
		return err
	}
	if o.media != "" {
		in.Media = func(name string) (media.Seen, error) { return cli.ReadMedium(filepath.Join(o.media, name)) }
	}
	for _, path := range o.statements {
		text, err := cli.ReadNamed(path, cli.MaxBeside)
		if err != nil {
			return err
		}
		in.Statements = append(in.Statements, evidence.Input{File: path, Data: text})
	}
	if err := besides(a, &in, o.beside); err != nil {
		return err
	}
	if isSplitView(in.Data) || o.expect == expectSplit {
		return verifySplit(a, in.File, in.Data, policy, o)
	}
	now, err := o.now(a)
	if err != nil {
		return err
	}
	q := evidence.Question{Now: now, Expect: evidence.Type(o.expect), Only: o.only, TrustOnFirstUse: o.firstUse}
	if o.expect == expectCurrent {
		q.Expect, q.Current = "", true
	}
	r, err := evidence.Verify(in, policy, q)
	if err != nil {
		return cli.Usage(err)
	}
	if r.Object == "" && a.Format != "json" && !o.quiet {
		return cli.Wrong(strict.Errorf(in.File, "is nothing that can be verified").WithHint("%s", "verify takes evidence packages, bundles, statements and transcripts; what this is says\nfleetctl show "+words.ShellWord(file)))
	}
	explained := o.explain != "" && a.Format == "text" && !o.quiet
	err = a.Tell(cli.Judged{JSON: r.JSON, Run: func() *report.Run { return checksOf(r, &in) },
		Text: func() string { return reportText(a, r, o.at != "") }, Quiet: o.quiet || explained || o.script})
	switch {
	case err != nil:
	case o.script:
		err = printScript(a, file, o)
	case explained:
		err = explainClaim(a, r, in, o)
	}
	if err == nil && !r.Verified {
		err = cli.Wrong(cli.ErrQuiet)
	}
	return err
}

// besides reads what is given beside in, and no more of it than is judged.
func besides(a *cli.App, in *evidence.Input, paths []string) error {
	total := 0
	for _, path := range paths {
		if path == "-" {
			return cli.Usagef("", "--beside takes no standard input")
		}
		other, err := input(a, path, verifyOptions{})
		if err != nil {
			return err
		}
		if total += len(other.Data) + other.Folder.Size(); total > evidence.MaxPackage {
			return cli.Wrong(strict.Errorf(path, "and what was given before it with --beside have more than %d bytes together", evidence.MaxPackage))
		}
		in.Beside = append(in.Beside, other)
	}
	return nil
}

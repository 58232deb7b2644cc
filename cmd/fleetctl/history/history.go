// Package history has fleetctl history.
package history

import (
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/fetch"
	"github.com/fleetctl/fleetctl/bundle/history/saved"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type historyOptions struct {
	policy, namespace, record, evidence, profile string
	url, save                                    string
	keys, operator                               []string
	rows                                         int
	rate                                         float64
	again, firstUse                              bool
	unpinned                                     string // what is to be said of the policy's keys
	paths                                        []string
	from                                         uint64
}

// Command is fleetctl history.
func Command(a *cli.App) *cobra.Command {
	var o historyOptions
	c := cli.Command("history [FILE|DIR]…", "Check a namespace's whole past, and what changed from epoch to epoch",
		`History checks every statement that third parties signed: signatures, epochs
without gap, no digest twice, time never back; what the operator published
against it, field by field and digest by digest; logs' proofs that lie beside
bundles; and with --record what earlier runs saw, so that rewriting is caught.

Files are statements, artifacts and bundles, one a file or (.jsonl) one a line.
With --url the statements of a live auditor are first saved to --save FILE, from
where the last run stopped; what was saved can be checked again at any time. Of
what the file has already, each run asks again for the newest epochs and for a
random few, with --again for all of them. An epoch that is answered otherwise,
or not any more, and a history that got shorter are faults; both answers are
kept in FILE.`,
		`  fleetctl history saved/ --policy acme.yaml --operator published/ --record seen
  fleetctl history --url https://auditor.example --namespace acme.fleet_keys.v1 --save all.jsonl --key auditor=auditor.pub
  fleetctl history all.jsonl --profile meta --key cloudflare=2bbfbb39997fdb95feee40ef9f8827de0256732be06f64ed6408cc7e97c7f4d4`,
		cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) error { return checkHistory(a, cmd, args, &o) })
	f := c.Flags()
	o.pins(f)
	o.asking(f)
	f.StringVar(&o.record, "record", "", "the `file` of what earlier runs saw; made by the first run")
	f.StringVar(&o.evidence, "evidence", "", "a `folder` for statements that can't both be honest (default: RECORD.evidence)")
	f.StringVar(&o.url, "url", "", "a live auditor's `address`, with the API of Cloudflare's")
	f.StringVar(&o.save, "save", "", "the `file` (.jsonl) that the auditor's answers are added to")
	f.IntVar(&o.rows, "rows", 20, "how many epochs, the newest, to list")
	a.Reports(c)
	c.AddCommand(followCmd(a))
	return c
}

// pins adds the flags that say what is pinned and looked at.
func (o *historyOptions) pins(f *pflag.FlagSet) {
	f.StringVar(&o.policy, "policy", "", "a verifier's policy `file`: third parties, operators, log")
	f.StringArrayVar(&o.keys, "key", nil, "a pinned third party, `name=key`: hex, base64, a file of it, or an OpenSSH .pub file")
	f.StringArrayVar(&o.operator, "operator", nil, "a `file` or folder of what the operator published")
	f.StringVar(&o.namespace, "namespace", "", "the one `namespace` to look at (default: all, each for itself)")
	f.StringVar(&o.profile, "profile", "", "meta: Meta's namespace, whose artifacts have a format that isn't public")
	f.BoolVar(&o.firstUse, "trust-on-first-use", false, "take keys of the policy that nobody compared with their owners, those without confirmed:")
}

// asking adds the flags that say how an auditor is asked.
func (o *historyOptions) asking(f *pflag.FlagSet) {
	f.BoolVar(&o.again, "again", false, "ask again for all that was saved, not for a part of it only")
	f.Float64Var(&o.rate, "rate", 10, "requests a second, at most")
	f.Uint64Var(&o.from, "from", 0, "the first `epoch` to ask for (default: the namespace's anchor)")
}

func checkHistory(a *cli.App, cmd *cobra.Command, paths []string, o *historyOptions) error {
	opts, err := historyPins(a, o)
	if err != nil {
		return err
	}
	if o.url != "" {
		if opts.Again, err = fetchHistory(a, cmd, o); err != nil {
			return err
		}
		paths = append(paths, o.save)
	}
	if o.again && o.url == "" {
		return cli.Usagef("see fleetctl history --help", "--again asks a live auditor, and no --url is given")
	}
	if len(paths)+len(o.operator) == 0 {
		return cli.Usagef("see fleetctl history --help", "nothing to check: name files or folders, or --url")
	}
	archive, err := saved.Open(paths, o.operator)
	if err != nil {
		return cli.Usage(cli.Missing(err))
	}
	if o.url != "" {
		archive.Live(o.save)
	}
	// A history is read in one pass of much garbage and little that stays.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	var record *saved.Record
	if o.record != "" {
		if record, err = saved.OpenRecord(o.record); err != nil {
			return cli.Wrong(err)
		}
		defer record.Close()
		if record.Torn > 0 {
			a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("the record's last run was cut off: %s kept in %s", words.Size(record.Torn), record.TornAt)))
		}
		opts.Seen = record.Seen
	}
	progress := a.UI.Progress("history")
	opts.Tell = func(done int64) { progress.Set(done, 0) }
	o.paths = append(paths, o.operator...)
	r, err := history.Check(cmd.Context(), archive, *opts)
	progress.Stop()
	if err != nil {
		return err
	}
	return historyDone(a, o, opts, record, r)
}

// historyDone keeps what was seen, and says it.
func historyDone(a *cli.App, o *historyOptions, opts *history.Options, record *saved.Record, r *history.Report) error {
	dir := o.evidence
	if dir == "" && o.record != "" {
		dir = o.record + ".evidence"
	}
	var kept []string
	var err error
	if dir != "" {
		if kept, err = saved.KeepEvidence(dir, r.Evidence); err != nil {
			return err
		}
	}
	if record != nil {
		if err := record.Extend(r, a.Now()); err != nil {
			return err
		}
	}
	result := historyResult(r, kept)
	result.Unpinned = o.unpinned
	result.Good = r.Good() && (o.unpinned == "" || o.firstUse)
	if err := a.Tell(cli.Judged{JSON: func() []byte { return cli.JSON(result) }, Text: func() string { return historyText(a, r, opts, kept, result) },
		Run: func() *report.Run { return historyChecks(o, result, a.Now()) }}); err != nil {
		return err
	}
	if !result.Good {
		return cli.Wrong(cli.ErrQuiet)
	}
	return nil
}

// historyPins reads what is pinned.
func historyPins(a *cli.App, o *historyOptions) (*history.Options, error) {
	h := &history.Options{Now: a.Now(), Only: o.namespace, Rows: max(0, o.rows)}
	if o.policy == "" && len(o.keys) == 0 {
		return nil, cli.Usagef("pin third parties with --policy FILE or --key NAME=KEY", "no key is pinned, so no signature could be checked")
	}
	if o.policy != "" {
		data, err := cli.ReadFile(o.policy)
		if err != nil {
			return nil, err
		}
		p, err := evidence.ParsePolicy(o.policy, data)
		if err != nil {
			return nil, cli.Usage(err)
		}
		o.unpinned = p.TellUnpinned()
		h.Log = p.Log
		if t := p.Trust(""); len(t.Operators) > 0 {
			h.Trust = p.Trust
		}
		for _, k := range p.Trust("").ThirdParties {
			h.Keys = append(h.Keys, history.Key{Name: k.Name, Key: k.Key, Window: k.Window})
		}
		if len(p.Namespaces) == 1 && h.Only == "" {
			h.Only = p.Namespaces[0]
		}
	}
	for _, s := range o.keys {
		k, err := historyKey(s)
		if err != nil {
			return nil, err
		}
		h.Keys = append(h.Keys, *k)
	}
	switch o.profile {
	case "":
	case "meta":
		if h.Only != "" && h.Only != history.MetaNamespace {
			return nil, cli.Usagef("", "the profile meta looks at %s, not at %s", history.MetaNamespace, h.Only)
		}
		o.namespace, h.Only, h.Meta = history.MetaNamespace, history.MetaNamespace, true
	default:
		return nil, cli.Usagef("", "--profile is %q; there is meta", o.profile)
	}
	return h, nil
}

func historyKey(s string) (*history.Key, error) {
	name, text, ok := strings.Cut(s, "=")
	if b, err := hex.DecodeString(text); ok && err == nil && len(b) == 32 {
		if err := keys.AdmitEd25519(b); err != nil {
			return nil, cli.Usagef("", "--key %s: the key %v", name, err)
		}
		return &history.Key{Name: name, Key: [32]byte(b)}, nil
	}
	name, der, err := signer.KeyFlag("key", s)
	if err != nil {
		return nil, err
	}
	raw, err := signer.RawEd25519(der)
	if err == nil {
		err = keys.AdmitEd25519(raw[:])
	}
	if err != nil {
		return nil, cli.Usagef("", "--key %s: the key %v", name, err)
	}
	return &history.Key{Name: name, Key: raw}, nil
}

// fetchHistory saves a live auditor's statements, from where the file ends, and
// says what became of those that it has.
func fetchHistory(a *cli.App, cmd *cobra.Command, o *historyOptions) (*history.Again, error) {
	if err := cli.Required(cmd, "save"); err != nil {
		return nil, err
	}
	if o.namespace == "" {
		return nil, cli.Usagef("", "--url needs --namespace")
	}
	if !strings.HasSuffix(o.save, ".jsonl") {
		return nil, cli.Usagef("", "--save %s does not end in .jsonl", o.save)
	}
	c, err := fetch.New(o.url, o.namespace, "fleetctl/"+cli.Version, o.rate)
	if err != nil {
		return nil, cli.Usagef("", "--url: %v", err)
	}
	c.Random = a.Random
	p := a.UI.Progress("saving " + o.namespace)
	c.Again = func(err error, in time.Duration) {
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("no answer, asking again in %s: %v", strict.FormatDuration(in), err)))
	}
	s, err := c.Save(cmd.Context(), o.save, fetch.Options{From: o.from, All: o.again, Tell: p.Set})
	p.Stop()
	if s.New > 0 || err == nil {
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("%s saved to %s", words.Count(s.New, "new statement", "new statements"), o.save)))
	}
	if err == nil && s.Again.Saved > 0 {
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("%s of those saved before asked for again", words.Count(s.Again.Asked, "epoch", "epochs"))))
	}
	return s.Again, err
}

// changes are a delta by role, in a few words.
func changes(d *bundle.Delta) string {
	type count struct{ added, removed, replaced, moved int }
	by := map[string]*count{}
	var roles []string
	at := func(role string) *count {
		if by[role] == nil {
			by[role] = &count{}
			roles = append(roles, role)
		}
		return by[role]
	}
	for _, k := range d.Added {
		at(k.Role).added++
	}
	for _, k := range d.Removed {
		at(k.Role).removed++
	}
	for _, k := range d.Replaced {
		at(k.New.Role).replaced++
	}
	for _, k := range d.Moved {
		at(k.New.Role).moved++
	}
	var parts []string
	for _, role := range roles {
		s := role
		for _, x := range []struct {
			mark string
			n    int
		}{{"+", by[role].added}, {"-", by[role].removed}, {"±", by[role].replaced}, {"~", by[role].moved}} {
			if x.n > 0 {
				s += fmt.Sprintf(" %s%d", x.mark, x.n)
			}
		}
		parts = append(parts, s)
	}
	if d.MajorityBefore != d.MajorityAfter && d.MajorityBefore > 0 {
		parts = append(parts, fmt.Sprintf("majority %d → %d", d.MajorityBefore, d.MajorityAfter))
	}
	if len(parts) == 0 {
		return "no key changed"
	}
	return strings.Join(parts, ", ")
}

func milliseconds(ms uint64) string {
	return strict.FormatTime((&bundle.Statement{Timestamp: ms}).Time())
}

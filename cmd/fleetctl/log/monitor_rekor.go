package log

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/entries"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// pinnedRekorLog is the one log of a policy that fits; an empty origin fits
// all.
func pinnedRekorLog(p *evidence.Policy, version int, origin string) (*auditlog.RekorLog, error) {
	if p.Rekor == nil {
		return nil, strict.Errorf(p.File, "pins no Rekor log").WithHint("pin log and submitters under rekor:")
	}
	var found []*auditlog.RekorLog
	for _, l := range p.Rekor.Logs {
		if l.Version() == version && (origin == "" || l.Origin() == origin) {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		return nil, strict.Errorf(p.File, "pins %d Rekor logs of version %d that fit, not one", len(found), version).
			WithHint("--rekor-version and --rekor-origin say which.")
	}
	return found[0], nil
}

// rekorWatch are the flags of a monitor that follows a Rekor log.
type rekorWatch struct {
	version      int
	origin, from string
	bundles      []string
}

func (r *rekorWatch) flags(c *cobra.Command) {
	f := c.Flags()
	f.IntVar(&r.version, "rekor-version", 0, "it is a Rekor server of this `version`, 1 or 2, whose log the policy pins")
	f.StringVar(&r.origin, "rekor-origin", "", "the `name` of the Rekor log, where the policy pins several")
	f.StringSliceVar(&r.bundles, "bundles", nil, "a known bundle's `file`, or a directory of them; read again before each pass")
	f.StringVar(&r.from, "from", "0", "first pass of a Rekor log: begin at this `entry`, or at its end; what lies before is taken on trust")
}

func (r *rekorWatch) given(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{"rekor-version", "rekor-origin", "bundles", "from"}, cmd.Flags().Changed)
}

// rekorJudge lets package monitor ask package entries what entries of a Rekor
// log mean.
type rekorJudge struct{ *entries.Rekor }

func (j rekorJudge) Read(_ uint64, leaf []byte) any { return j.Rekor.Read(leaf) }

func (j rekorJudge) Take(index uint64, made any) []monitor.Finding {
	j.Rekor.Take(index, made.(*auditlog.RekorLeaf))
	return nil // said by Overdue, of all of them: a bundle may become known
}

func (j rekorJudge) Overdue() []monitor.Finding { return findings(j.Faults()) }

func followRekor(a *cli.App, cmd *cobra.Command, ref string, o *monitorOptions) (*following, error) {
	if o.version == 0 {
		return nil, cli.Usagef("usage: "+cmd.UseLine(), "--rekor-version is missing")
	}
	if len(o.bundles) == 0 {
		return nil, cli.Usagef("Rekor stores digests: name the bundles that they may be of", "--bundles is missing")
	}
	if o.evidence != 0 {
		return nil, cli.Usagef("follow that log too, without --rekor-version", "--evidence-within is of the bundle's own log: in Rekor there are bundles only")
	}
	from, err := strict.ParseUint(o.from)
	if o.from == "end" {
		from, err = monitor.FromEnd, nil
	}
	if err != nil {
		return nil, cli.Usagef("it is the number of an entry, or end", "--from %v", err)
	}
	data, err := cli.ReadFile(o.policy)
	if err != nil {
		return nil, err
	}
	policy, err := evidence.ParsePolicy(o.policy, data)
	if err != nil {
		return nil, cli.Usage(err)
	}
	log, err := pinnedRekorLog(policy, o.version, o.origin)
	if err != nil {
		return nil, cli.Usage(err)
	}
	// Zero bundles known would make each entry of ours an alarm, and none
	// pinned each entry somebody else's.
	if len(policy.Rekor.Submitters) == 0 {
		return nil, cli.Usage(strict.Errorf(policy.File, "pins no submitter: every entry would be somebody else's").WithHint("pin it under rekor: submitters:"))
	}
	known, err := readBundles(o.bundles)
	if err != nil {
		return nil, cli.Usage(err)
	}
	var last *entries.Rekor
	judge := func() monitor.Judge {
		last = entries.NewRekor(policy, log, known, a.Now)
		last.Fleets = o.fleets
		return rekorJudge{last}
	}
	m, err := monitor.NewRekor(ref, nil, log, policy.Log, from, judge, o.options(a))
	if err != nil {
		return nil, cli.Usage(cli.Missing(err))
	}
	return &following{m, func() (err error) {
		last = nil
		known, err = readBundles(o.bundles)
		return err
	}, func() *oursJSON {
		if last == nil {
			return nil // the log was not read
		}
		return &oursJSON{last.Ours(), len(known)}
	}}, nil
}

// readBundles reads files of bundles, and of directories those files that call
// themselves bundles.
func readBundles(paths []string) (list [][]byte, err error) {
	take := func(path string, must bool) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return cli.Missing(err)
		}
		if !must && !bytes.Contains(data[:min(len(data), 200)], []byte(strconv.Quote(bundle.BundleFormat))) {
			return nil
		}
		if _, err := bundle.ParseAny(path, data); err != nil {
			return err
		}
		list = append(list, data)
		return nil
	}
	for _, path := range paths {
		entries, err := os.ReadDir(path)
		if err != nil {
			if err := take(path, true); err != nil {
				return nil, err
			}
			continue
		}
		for _, e := range entries {
			// A link is followed: what it leads to must still be a bundle.
			if e.IsDir() || e.Type()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
				continue
			}
			if err := take(filepath.Join(path, e.Name()), false); err != nil {
				return nil, err
			}
		}
	}
	if len(list) == 0 {
		return nil, strict.Errorf("", "--bundles %q: there is no bundle", paths)
	}
	return list, nil
}

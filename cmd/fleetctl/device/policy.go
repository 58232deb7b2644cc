package device

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type pinnedJSON struct {
	File         string   `strict:"file"`
	SHA256       [32]byte `strict:"sha256,hex"`
	Mode         string   `strict:"mode"`
	Namespace    string   `strict:"namespace"`
	MaxAge       uint64   `strict:"max_age"` // seconds
	ThirdParties []string `strict:"third_parties"`
	Needed       int      `strict:"third_parties_needed"`
	Artifacts    int      `strict:"artifacts"`
	Keys         int      `strict:"keys"`
	SessionPQ    string   `strict:"session_post_quantum,optional"`
	Unpinned     []string `strict:"unpinned"`
}

// Format is what the JSON says that it is.
func (*pinnedJSON) Format() string { return "fleetctl device policy result v1" }

func policyCmd(a *cli.App) *cobra.Command {
	var o cli.DevicePolicy
	var artifacts, keys []string
	var out, rolePQ string
	c := cli.Command("policy", "Write what an app pins, from a verifier's policy",
		`Policy takes from a verifier's policy what a device needs of it (third parties,
operator, log and witnesses) and writes it as one JSON file, which an app
compiles in. --max-age says how long ago witnesses may have seen the log.

By default keys come over the air: every epoch that these people sign and these
witnesses see is accepted. --artifact and --keys narrow that to what is pinned,
as an app does that has its fleet's keys compiled in: a new epoch then needs a
new app. Neither takes the place of signatures or log.

A fleet whose bundle has ML-DSA keys signs each session with one, and devices
demand it. --role-pq has them refuse bundles without such keys too, as at first
contact, where nothing else tells an older one of the fleet.`,
		`  fleetctl device policy --policy policy.yaml --max-age 168h --out device.json
  fleetctl device policy --policy policy.yaml --max-age 168h --artifact $(sha256sum < fleet-keys.json | cut -c1-64) --out device.json
  fleetctl device policy --policy policy.yaml --max-age 168h --keys pins.json --out device.json`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "policy", "out"); err != nil {
				return err
			}
			pins, err := readPins(artifacts, keys)
			if err != nil {
				return err
			}
			pins.SessionPostQuantum = rolePQ
			p, err := o.Read(cmd, pins)
			if err != nil {
				return err
			}
			if err := cli.WriteNew(out, p.Raw()); err != nil {
				return err
			}
			return wrote(a, out, p)
		})
	f := c.Flags()
	o.Flags(f)
	f.StringArrayVar(&artifacts, "artifact", nil, "accept this artifact alone: the SHA-256 of its key set, in `hex`; may be repeated")
	f.StringArrayVar(&keys, "keys", nil, "accept these keys alone: a `file` that device pin wrote; may be repeated")
	cli.RolePQ(f, &rolePQ, "accept a key set alone that has ML-DSA keys in this `role`, and nodes alone that sign each session with them")
	f.StringVar(&out, "out", "", "the policy's new `file`")
	return c
}

func readPins(artifacts, keys []string) (pins device.Pins, err error) {
	for _, text := range artifacts {
		digest, err := hex.DecodeString(text)
		if err != nil || len(digest) != 32 {
			return pins, cli.Usagef("it is the SHA-256 of fleet-keys.json, as sha256sum prints it", "--artifact %q is no hex of 32 bytes", text)
		}
		pins.Artifacts = append(pins.Artifacts, [32]byte(digest))
	}
	for _, file := range keys {
		data, err := cli.ReadNamed(file, cli.MaxBeside)
		if err != nil {
			return pins, err
		}
		p, err := device.ParsePins(file, data)
		if err != nil {
			return pins, cli.Usage(err)
		}
		if err := pins.Add(file, p); err != nil {
			return pins, cli.Usage(err)
		}
	}
	return pins, nil
}

func wrote(a *cli.App, file string, p *device.Policy) error {
	out := &pinnedJSON{
		File: file, SHA256: p.Digest, Mode: p.Trust.Mode, Namespace: p.Trust.Namespace, MaxAge: uint64(p.MaxAge / time.Second), ThirdParties: p.Trust.Parties(), Needed: p.Trust.Needed,
		Artifacts: len(p.Artifacts), Keys: len(p.Keys), SessionPQ: p.SessionPostQuantum, Unpinned: append([]string{}, p.Unconfirmed...),
	}
	rows := [][2]string{
		{"device policy", file}, {"sha256", words.Hex(p.Digest[:])}, {"namespace", out.Namespace},
		{"signed by", fmt.Sprintf("%d of %s, and an operator", out.Needed, words.Count(int64(len(out.ThirdParties)), "third party", "third parties"))},
		{"witnessed", fmt.Sprintf("at most %s ago", strict.FormatDuration(p.MaxAge))},
		{"accepts", accepts(p)},
	}
	if p.SessionPostQuantum != "" {
		rows = append(rows, [2]string{"sessions", "signed by ML-DSA keys of role " + p.SessionPostQuantum + " too"})
	}
	return a.Emit(out, a.UI.Fields(append(rows, unpinned(p)...)))
}

// unpinned are the lines about keys that nobody compared with their owners.
func unpinned(p *device.Policy) (rows [][2]string) {
	for i, name := range p.Unconfirmed {
		label := ""
		if i == 0 {
			label = "UNPINNED"
		}
		rows = append(rows, [2]string{label, name})
	}
	return rows
}

func accepts(p *device.Policy) string {
	switch {
	case len(p.Artifacts) > 0 && len(p.Keys) > 0:
		return fmt.Sprintf("%s and %s alone", words.Count(int64(len(p.Artifacts)), "artifact", "artifacts"), words.Count(int64(len(p.Keys)), "key", "keys"))
	case len(p.Artifacts) > 0:
		return words.Count(int64(len(p.Artifacts)), "artifact", "artifacts") + " alone"
	case len(p.Keys) > 0:
		return words.Count(int64(len(p.Keys)), "key", "keys") + " alone"
	}
	if role := p.SessionPostQuantum; role != "" {
		return "every epoch that they sign and that has role " + role
	}
	return "every epoch that they sign"
}

package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type newOptions struct {
	fromTokens                       bool
	module, initArgs, prefix, pin    string
	mode, fleet, namespace, previous string
	epoch                            uint64
	hsms, majority, threshold        int
	needed                           int // third parties
	roles, people, parties, lockdown []string
	drill                            []string
	partiesPQ                        []string
	countersignerPQ                  string
	countersigner, form, logPolicy   string
	site                             string
	out, siteOut                     string
	devices, models                  []string
}

func newCmd(a *cli.App) *cobra.Command {
	var o newOptions
	c := cli.Command("new", "Write a commented plan, and with --from-tokens its site file",
		`New writes a plan with a comment on every part. What isn't given is left as a
comment, and plan check names it. With --from-tokens the HSMs are the tokens
of a module, in the order of their labels as people count, fleet-2 before
fleet-10, and a site file says how each is reached.`,
		`  fleetctl plan new --mode rehearsal --fleet backup-2026a \
      --namespace rehearsal.example.backup.fleet_keys.v1 \
      --from-tokens --module /usr/lib/softhsm/libsofthsm2.so --label-prefix fleet- \
      --person officer:olga=olga.pub --person witness:wim=wim.pub \
      --third-party auditor.example=thirdparty.pub --countersigner operator-1=operator.pub \
      --log-policy log.policy --out plan.yaml --site-out site.yaml`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "fleet", "namespace", "out"); err != nil {
				return err
			}
			if o.fromTokens {
				if err := cli.Required(cmd, "module", "site-out"); err != nil {
					return err
				}
			}
			return draftPlan(a, o)
		})
	f := c.Flags()
	signer.ModuleFlags(c, &o.module, &o.initArgs)
	f.BoolVar(&o.fromTokens, "from-tokens", false, "take the HSMs from the tokens of --module")
	f.StringVar(&o.prefix, "label-prefix", "", "only tokens whose label begins with this `text`")
	f.StringVar(&o.pin, "pin", "terminal", "`source` of the PINs, for the site file; %s stands for the token's label")
	f.StringVar(&o.site, "site", "lab", "`name` of the HSMs' site")
	f.StringVar(&o.mode, "mode", ceremony.Production, "production or rehearsal")
	f.StringVar(&o.fleet, "fleet", "", "`name` of the fleet")
	f.StringVar(&o.namespace, "namespace", "", "`name` whose epochs the third party signs")
	f.Uint64Var(&o.epoch, "epoch", 1, "`number` of the epoch")
	f.StringVar(&o.previous, "previous", "", "the predecessor's fleet-keys.json `file`, from epoch 2 on")
	f.IntVar(&o.hsms, "hsms", 5, "how many HSMs")
	f.IntVar(&o.majority, "majority", 0, "how many must agree (default: just more than half)")
	f.StringArrayVar(&o.roles, "role", nil, "a key role, `name=algorithm` (default: session, ed25519 where every token offers it, else ecdsa-p256)")
	f.IntVar(&o.threshold, "threshold", 0, "how many officers must agree (default: just more than half)")
	f.StringArrayVar(&o.people, "person", nil, "`role:name=file` of an OpenSSH public key; role is officer, witness or auditor")
	f.StringArrayVar(&o.parties, "third-party", nil, "`name=key`: base64 of the raw Ed25519 key, or a file of it or of its SubjectPublicKeyInfo")
	f.StringArrayVar(&o.partiesPQ, "third-party-pq", nil, "`name=key` of a third party's ML-DSA key, which adds a signature to its statement: base64 of the SubjectPublicKeyInfo, or a file of it")
	f.IntVar(&o.needed, "third-parties-needed", 0, "how many third parties must have signed before the operator countersigns (default: all)")
	f.StringVar(&o.countersigner, "countersigner", "", "`name=key`: base64 of the SubjectPublicKeyInfo, or a file of it")
	f.StringVar(&o.countersignerPQ, "countersigner-pq", "", "`key` of the countersigner's, ML-DSA, which signs beside the other: base64 of the SubjectPublicKeyInfo, or a file of it")
	f.StringVar(&o.form, "form", bundle.FormBound, "what the countersignature is over: bound or signature")
	f.StringVar(&o.logPolicy, "log-policy", "", "`file` of logs and witnesses (C2SP tlog-policy)")
	f.StringArrayVar(&o.devices, "device", nil, "an HSM, or the countersigner's, by what its vendor attests: `name=format:identity`; for every HSM or none")
	f.StringArrayVar(&o.models, "model", nil, "a `model` that HSMs may be of, as their tokens report it (default: all are of one)")
	f.StringSliceVar(&o.drill, "drill", nil, "drill the fleet once the bundle is logged: the `stages` that must pass, parted by commas; the first role that signs in TLS answers devices, the first of ecdh-p256 seals")
	f.StringArrayVar(&o.lockdown, "lockdown", nil, "what is done once the bundle is logged, in `words`; or login-refused HSM")
	f.StringVar(&o.out, "out", "", "the plan's new `file`")
	f.StringVar(&o.siteOut, "site-out", "", "the site's new `file`")
	return c
}

type newJSON struct {
	Plan   string   `strict:"plan"`
	SHA256 [32]byte `strict:"sha256,hex"`
	Site   string   `strict:"site,optional"`
	HSMs   int      `strict:"hsms"`
}

// Format is what the JSON says that it is.
func (*newJSON) Format() string { return "fleetctl plan new result v1" }

func draftPlan(a *cli.App, o newOptions) error {
	d := &draft.Plan{Mode: o.mode, Fleet: o.fleet, Namespace: o.namespace, Epoch: o.epoch, Majority: o.majority, Threshold: o.threshold, Needed: o.needed, Lockdown: o.lockdown}
	var labels []string
	algorithm := keys.Ed25519
	if o.fromTokens {
		var err error
		if labels, algorithm, err = tokensForPlan(a, o, d); err != nil {
			return err
		}
	}
	if d.Majority == 0 {
		d.Majority = max(len(d.HSMs), 1)/2 + 1
	}
	if err := o.fill(d, algorithm); err != nil {
		return err
	}
	if err := o.nameDevices(d); err != nil {
		return err
	}
	data, err := d.Write()
	if err != nil {
		return err
	}
	if err := writePlan(o, data, d.HSMs, labels); err != nil {
		return err
	}
	return a.Emit(&newJSON{o.out, bundle.Digest(data), o.siteOut, len(d.HSMs)},
		a.UI.Fields([][2]string{
			{"plan", o.out}, {"sha256", fmt.Sprintf("%x", bundle.Digest(data))},
			{"HSMs", fmt.Sprint(len(d.HSMs))}, {"next", "fleetctl plan check " + o.out},
		}))
}

// writePlan writes the plan and, where there is one, its site file: both or
// neither.
func writePlan(o newOptions, plan []byte, hsms []ceremony.PlanHSM, labels []string) error {
	if err := cli.Free(o.out, o.siteOut); err != nil {
		return err
	}
	if o.siteOut != "" {
		site, err := siteFile(o, hsms, labels)
		if err != nil {
			return err
		}
		if err := cli.WritePrivate(o.siteOut, site); err != nil {
			return err
		}
	}
	if err := cli.WriteNew(o.out, plan); err != nil {
		if o.siteOut != "" {
			durable.Remove(o.siteOut)
		}
		return err
	}
	return nil
}

// fill reads what flags and files say of people, roles and keys.
func (o newOptions) fill(d *draft.Plan, usual keys.Algorithm) error {
	if len(o.roles) == 0 {
		d.Roles = []draft.Role{{Name: "session", Algorithm: usual}}
	}
	for _, r := range o.roles {
		name, alg, ok := strings.Cut(r, "=")
		if !ok {
			return cli.Usagef("", "--role %q is not name=algorithm", r)
		}
		d.Roles = append(d.Roles, draft.Role{Name: name, Algorithm: keys.Algorithm(alg)})
	}
	officers := 0
	for _, p := range o.people {
		who, file, ok := strings.Cut(p, "=")
		role, name, ok2 := strings.Cut(who, ":")
		if !ok || !ok2 {
			return cli.Usagef("", "--person %q is not role:name=file", p)
		}
		line, err := cli.ReadFile(file)
		if err != nil {
			return err
		}
		if role == ceremony.Officer {
			officers++
		}
		// The comment at the end of a .pub file names its machine and user.
		f := strings.Fields(string(line))
		if len(f) < 2 {
			return cli.Usage(strict.Errorf(file, "is no OpenSSH public key"))
		}
		if _, err := sshsig.ParsePublicKey(f[0] + " " + f[1]); err != nil {
			return cli.Usage(strict.Errorf(file, "%v", err))
		}
		d.People = append(d.People, ceremony.Person{Name: name, Role: role, Key: f[0] + " " + f[1]})
	}
	if d.Threshold == 0 {
		d.Threshold = officers/2 + 1
	}
	if o.previous != "" {
		data, err := cli.ReadFile(o.previous)
		if err != nil {
			return err
		}
		d.Previous = bundle.Digest(data)
	}
	if err := o.drilled(d); err != nil {
		return err
	}
	return o.keys(d)
}

// drilled plans a drill, with the roles that the plan has for it.
func (o newOptions) drilled(d *draft.Plan) error {
	if len(o.drill) == 0 {
		return nil
	}
	of := func(may func(keys.Algorithm) bool) string {
		for _, r := range d.Roles {
			if may(r.Algorithm) {
				return r.Name
			}
		}
		return ""
	}
	d.Drill = &ceremony.PlanDrill{
		Session:   of(func(alg keys.Algorithm) bool { return alg.CanSign() && !alg.IsMLDSA() }),
		Agreement: of(func(alg keys.Algorithm) bool { return alg == keys.ECDHP256 }),
		Stages:    o.drill,
	}
	if d.Drill.Session == "" || d.Drill.Agreement == "" {
		return cli.Usagef("plan both:\n--role session=ed25519 --role sealing=ecdh-p256", "--drill takes a role of keys that sign in TLS, which has no ML-DSA, and one of ecdh-p256")
	}
	return nil
}

// keys reads the keys of those who sign from outside, and the log's policy.
func (o newOptions) keys(d *draft.Plan) error {
	for _, p := range o.parties {
		name, der, err := signer.KeyFlag("third-party", p)
		if err != nil {
			return err
		}
		raw, err := signer.RawEd25519(der)
		if err != nil {
			return cli.Usagef("", "--third-party %s: %v", name, err)
		}
		d.ThirdParties = append(d.ThirdParties, ceremony.ThirdParty{Name: name, Key: raw, Ciphersuite: bundle.Protobuf})
	}
	if o.countersigner != "" {
		name, der, err := signer.KeyFlag("countersigner", o.countersigner)
		if err != nil {
			return err
		}
		k, err := keys.ParseSPKI(der)
		if err != nil {
			return cli.Usagef("", "--countersigner %s: the key %v", name, err)
		}
		d.Countersigner = &ceremony.Countersigner{Name: name, Algorithm: k.Algorithm(), Key: der, Form: o.form}
	}
	if err := o.postQuantum(d); err != nil {
		return err
	}
	if o.logPolicy != "" {
		data, err := cli.ReadFile(o.logPolicy)
		if err != nil {
			return err
		}
		// A plan is published: nothing that is no log policy gets into it.
		if _, err := auditlog.ParsePolicy(o.logPolicy, data); err != nil {
			return cli.Usage(err)
		}
		d.LogPolicy = string(data)
	}
	return nil
}

// postQuantum reads the keys that sign beside others.
func (o newOptions) postQuantum(d *draft.Plan) error {
	read := func(flag, name, value string) (*ceremony.PostQuantum, error) {
		_, der, err := signer.KeyFlag(flag, name+"="+value)
		if err != nil {
			return nil, err
		}
		k, err := keys.ParseSPKI(der)
		if err != nil {
			return nil, cli.Usagef("", "--%s %s: the key %v", flag, name, err)
		}
		return &ceremony.PostQuantum{Algorithm: k.Algorithm(), Key: der}, nil
	}
	for _, p := range o.partiesPQ {
		name, value, _ := strings.Cut(p, "=")
		i := slices.IndexFunc(d.ThirdParties, func(x ceremony.ThirdParty) bool { return x.Name == name })
		if i < 0 {
			return cli.Usagef("", "--third-party-pq names %q, and no --third-party has this name", name)
		}
		k, err := read("third-party-pq", name, value)
		if err != nil {
			return err
		}
		d.ThirdParties[i].PostQuantum = k
	}
	if o.countersignerPQ == "" {
		return nil
	}
	if d.Countersigner == nil {
		return cli.Usagef("", "--countersigner-pq is given, and no --countersigner")
	}
	k, err := read("countersigner-pq", d.Countersigner.Name, o.countersignerPQ)
	d.Countersigner.PostQuantum = k
	return err
}

// siteFile is the site file of these HSMs. A PIN that was given for its source
// by mistake must not get into it.
func siteFile(o newOptions, hsms []ceremony.PlanHSM, labels []string) ([]byte, error) {
	s := &engine.Site{}
	for i, h := range hsms {
		pin := strings.ReplaceAll(o.pin, "%s", labels[i])
		source, err := signer.PINSource(pin, "PIN of "+h.Name)
		if err != nil {
			return nil, err
		}
		if source.Kind == engine.PINFile {
			pin = "file:" + source.Path // the site file is read from other folders too
		}
		s.HSMs = append(s.HSMs, engine.SiteHSM{Name: h.Name, Module: o.module, Token: labels[i], PIN: pin, InitArgs: o.initArgs})
	}
	return s.Write()
}

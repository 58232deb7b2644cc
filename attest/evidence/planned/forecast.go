package planned

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Outlook is the forecast for a claim that a policy demands.
type Outlook struct {
	Claim   string
	Least   evidence.Grade // demanded
	Best    evidence.Grade // the best that can be reached if all goes well
	Missing string         // why no more can be reached; empty if enough can
	Do      string         // what to do about that, or what is still to be done to reach it
}

// Short says whether less can be reached than is demanded.
func (o Outlook) Short() bool { return o.Best < o.Least }

// Forecast says for every demand of a policy whether a plan's ceremony can reach it, by
// what plan and policy name. It doesn't say whether people will sign, HSMs will pass
// their checks, and logs will answer.
func Forecast(plan *ceremony.Plan, policy *evidence.Policy) (list []Outlook) {
	f := &forecast{plan: plan, policy: policy, all: map[string]Outlook{}}
	f.people()
	f.signers()
	f.logs()
	f.keys()
	f.device(evidence.ClaimKeyAttested, f.plan.Attested(), "hsms")
	f.device(evidence.ClaimCountersignerAttested, plan.Countersigner.Attestation != nil, "countersigner")
	f.fleet()
	f.reach(evidence.ClaimRekor, evidence.Proven, "", "when the bundle is logged: fleetctl log append BUNDLE --rekor URL")
	if plan.Drill == nil {
		f.reach(evidence.ClaimDrilled, evidence.NotShown, "the plan has no drill", "say under drill: in the plan which stages must pass")
	} else {
		f.after(evidence.ClaimDrilled, evidence.Attested, evidence.ClaimCloseSignoff)
	}
	if len(plan.Lockdown) == 0 {
		f.reach(evidence.ClaimLockdown, evidence.NotShown, "the plan has no lock-down", "list under lockdown: in the plan what is done once the bundle is logged")
	} else {
		f.after(evidence.ClaimLockdown, evidence.Attested, evidence.ClaimCloseSignoff)
	}
	f.after(evidence.ClaimDestroyed, evidence.Attested, evidence.ClaimCloseSignoff)
	for _, d := range policy.Demands {
		if d.Claim == evidence.ClaimAbortSigned || d.Claim == evidence.ClaimDestroyed && plan.Destroys == nil {
			continue // only for aborted ceremonies, and for those that destroy keys
		}
		if plan.Destroys != nil && !evidence.Carries(evidence.TypeDestruction, d.Claim) {
			continue // --expect destruction doesn't ask for it
		}
		o := f.all[d.Claim]
		o.Claim, o.Least = d.Claim, d.Least
		list = append(list, o)
	}
	return list
}

// Short are the outlooks that fall short of what is demanded.
func Short(list []Outlook) []Outlook {
	return slices.DeleteFunc(slices.Clone(list), func(o Outlook) bool { return !o.Short() })
}

type forecast struct {
	plan   *ceremony.Plan
	policy *evidence.Policy
	all    map[string]Outlook
}

// reach sets a claim's outlook.
func (f *forecast) reach(claim string, best evidence.Grade, missing, do string) {
	f.all[claim] = Outlook{Claim: claim, Best: best, Missing: missing, Do: do}
}

// after sets the outlook of a claim that reaches best if the others are proven, and is
// not shown otherwise.
func (f *forecast) after(claim string, best evidence.Grade, others ...string) {
	f.reach(claim, best, "", "")
	for _, name := range others {
		if o := f.all[name]; o.Best < evidence.Proven {
			f.reach(claim, evidence.NotShown, fmt.Sprintf("it rests on %s: %s", name, o.Missing), o.Do)
			return
		}
	}
}

// people sets the outlooks that need people's signatures.
func (f *forecast) people() {
	have, m := f.policy.PinnedPeople(f.plan)
	missing := ""
	for _, x := range []struct {
		role string
		n    int
	}{{ceremony.Officer, m}, {ceremony.Witness, 1}, {ceremony.Auditor, 1}} {
		short := len(have[x.role]) < x.n
		if short && missing == "" {
			missing = fmt.Sprintf("the policy pins %d of the plan's people as %s, and %d must sign", len(have[x.role]), x.role, x.n)
		}
		if x.role == ceremony.Officer {
			f.either(evidence.ClaimPlanApproved, missing, "pin the plan's officers under people:")
		}
	}
	f.either(evidence.ClaimReleaseSignoff, missing, "pin the plan's people under people:")
	f.either(evidence.ClaimCloseSignoff, missing, "pin the plan's people under people:")
	f.after(evidence.ClaimBound, evidence.Proven, evidence.ClaimCloseSignoff)
	f.after(evidence.ClaimPage, evidence.Proven, evidence.ClaimCloseSignoff)
}

// either sets the outlook of a claim that is proven, or not shown if something is
// missing.
func (f *forecast) either(claim, missing, do string) {
	if missing == "" {
		f.reach(claim, evidence.Proven, "", "")
	} else {
		f.reach(claim, evidence.NotShown, missing, do)
	}
}

// signers sets the outlooks that need the signatures in a bundle.
func (f *forecast) signers() {
	t := f.policy.Trust(f.plan.Namespace)
	names := map[string]bool{}
	for _, x := range f.plan.ThirdParties {
		if i := slices.IndexFunc(t.ThirdParties, func(y bundle.ThirdParty) bool { return x.Key == y.Key }); i >= 0 {
			names[t.ThirdParties[i].Name] = true
		}
	}
	missing, do := "", "pin the plan's third parties under third_parties:"
	switch {
	case f.policy.Mode != f.plan.Mode || !f.policy.Pins(f.plan.Namespace):
		missing, do = fmt.Sprintf("the policy is for %s and %s, the plan for %s and %s", f.policy.Mode, strings.Join(f.policy.Namespaces, ", "), f.plan.Mode, f.plan.Namespace), "take the policy of this namespace and mode"
	case len(names) < t.Needed:
		missing = fmt.Sprintf("the policy needs %d third parties, and pins %d of the plan's", t.Needed, len(names))
	case len(f.policy.Lacks(f.plan)) > 0:
		missing, do = "the policy "+f.policy.Lacks(f.plan)[0], "name the post-quantum keys in the plan, or in the policy: fleetctl plan new --third-party-pq, --countersigner-pq"
	}
	f.either(evidence.ClaimStatement, missing, do)
	f.after(evidence.ClaimMode, evidence.Proven, evidence.ClaimStatement)
	c := f.plan.Countersigner
	if missing == "" && !slices.ContainsFunc(t.Operators, func(o bundle.Operator) bool { return bytes.Equal(o.Key.SPKI(), c.Key) && o.Form == c.Form }) {
		missing, do = fmt.Sprintf("the policy doesn't pin the plan's countersigner %q with its key and form", c.Name), "pin it under operators:"
	}
	f.either(evidence.ClaimCountersigned, missing, do)
}

// logs sets the outlooks that need the log and its witnesses.
func (f *forecast) logs() {
	missing, do := f.noLog()
	f.either(evidence.ClaimIncluded, missing, do)
	f.either(evidence.ClaimLogged, missing, do)
	if missing == "" {
		f.reach(evidence.ClaimLogged, evidence.Proven, "", "after the close: fleetctl log append PACKAGE, and keep its proof beside it")
	}
	switch {
	case missing != "":
	case !f.policy.Log.Demanded():
		missing, do = "the policy's log_policy names no quorum of witnesses", "name witnesses and a quorum in it"
	case !f.policy.Log.Reachable():
		missing, do = "the quorum can't be met by the witnesses that count", "name other witnesses in log_policy"
	}
	f.either(evidence.ClaimWitnessed, missing, do)
}

// noLog says why no log entry of this ceremony counts; empty if entries do.
func (f *forecast) noLog() (missing, do string) {
	plan, err := auditlog.ParsePolicy("log_policy", []byte(f.plan.LogPolicy))
	switch {
	case f.policy.Log == nil:
		return "the policy pins no log", "pin the plan's log under log_policy:"
	case err != nil:
		return "the plan's log_policy can't be read: " + err.Error(), "correct it"
	}
	for _, mine := range f.policy.Log.Logs() {
		for _, x := range plan.Logs() {
			if mine.Key.String() == x.Key.String() {
				return "", ""
			}
		}
	}
	return "the policy pins none of the plan's logs", "pin the plan's log under log_policy:"
}

// keys sets the outlooks of what HSMs report about their keys.
func (f *forecast) keys() {
	f.reach(evidence.ClaimGenerated, evidence.Device, "", "")
	f.reach(evidence.ClaimNonexportable, evidence.Device, "", "")
	if untaken := ceremony.Beyond(f.plan.Tolerates(), f.policy.Tolerates); len(untaken) > 0 {
		f.reach(evidence.ClaimNonexportable, evidence.NotShown, "the plan tolerates "+ceremony.TellTolerated(untaken)+", and the policy doesn't", "whoever takes such keys knowingly adds tolerates: to the policy")
	}
	f.agreement()
	f.reach(evidence.ClaimPossession, evidence.Proven, "", "")
	if len(f.plan.RolesOf(bundle.UseSign)) == 0 {
		f.reach(evidence.ClaimPossession, evidence.NotShown, "the plan has no key that signs", "take the claim out of the policy")
	} else if o := f.all[evidence.ClaimStatement]; o.Best < evidence.Proven {
		f.reach(evidence.ClaimPossession, evidence.Device, "no pinned third party would sign it: "+o.Missing, o.Do)
	}
}

// agreement sets the outlook of key.agreement, for which a pinned auditor must challenge
// the keys and sign off the release.
func (f *forecast) agreement() {
	have, _ := f.policy.PinnedPeople(f.plan)
	switch {
	case len(f.plan.RolesOf(bundle.UseAgree)) == 0:
		f.reach(evidence.ClaimAgreement, evidence.NotShown, "the plan has no key that agrees", "take the claim out of the policy")
	case len(have[ceremony.Auditor]) == 0:
		f.reach(evidence.ClaimAgreement, evidence.Device, "the policy pins none of the plan's auditors, who challenge", "pin the plan's people under people:")
	default:
		f.reach(evidence.ClaimAgreement, evidence.Attested, "", "in the room an auditor challenges each such key from a machine of their own: fleetctl ceremony agreement challenge KEPT")
	}
}

// fleet sets the outlook of fleet.checked, which people sign off with the release.
func (f *forecast) fleet() {
	lines := f.all[evidence.ClaimNonexportable]
	if lines.Best == evidence.NotShown {
		f.reach(evidence.ClaimFleetChecked, evidence.NotShown, lines.Missing, lines.Do)
		return
	}
	if why := f.policy.TooClose(f.plan); why != "" {
		f.reach(evidence.ClaimFleetChecked, evidence.NotShown, why, "plan HSMs at other sites, or demand less under sites:")
		return
	}
	if s := f.policy.Sites; s != nil && s.NoVendorMajority && f.all[evidence.ClaimKeyAttested].Best < evidence.Attested {
		o := f.all[evidence.ClaimKeyAttested]
		f.reach(evidence.ClaimFleetChecked, evidence.NotShown, "of which vendor its HSMs are, only attestations show: "+o.Missing, o.Do)
		return
	}
	f.reach(evidence.ClaimFleetChecked, evidence.Attested, "", "")
	for _, name := range []string{evidence.ClaimPossession, evidence.ClaimReleaseSignoff} {
		if o := f.all[name]; o.Best < evidence.Proven {
			f.reach(evidence.ClaimFleetChecked, evidence.Device, fmt.Sprintf("it rests on %s: %s", name, o.Missing), o.Do)
		}
	}
}

// attesting is a key that a device is to attest.
type attesting struct {
	*ceremony.Device
	key       string
	algorithm ceremony.Algorithm
}

// attesting are the keys of a claim about devices' attestations.
func (f *forecast) attesting(claim string) (list []attesting) {
	if c := f.plan.Countersigner; claim == evidence.ClaimCountersignerAttested {
		return []attesting{{c.Attestation, "the key of " + c.Name, c.Algorithm}}
	}
	for _, h := range f.plan.HSMs {
		for _, r := range f.plan.Roles {
			list = append(list, attesting{h.Attestation, h.Name + " " + r.Name, r.Algorithm})
		}
	}
	return list
}

// device sets the outlook of a claim about devices' attestations.
func (f *forecast) device(claim string, named bool, where string) {
	b := f.policy.Attestation
	switch {
	case !named:
		f.reach(claim, evidence.NotShown, "the plan names no attestation under "+where+":", "name each device there: attestation: {format: FORMAT, identity: IDENTITY}")
		return
	case b == nil:
		f.reach(claim, evidence.NotShown, "the policy requires nothing of attestations and pins no anchor", "add attestation: with least: and anchors: to the policy")
		return
	}
	least := b.Least
	if claim == evidence.ClaimCountersignerAttested && b.Countersigner != 0 {
		least = b.Countersigner
	}
	f.reach(claim, evidence.Attested, "", "")
	for _, d := range f.attesting(claim) {
		switch {
		case !slices.Contains(formats.All().Formats(), d.Format):
			f.reach(claim, evidence.NotShown, fmt.Sprintf("nobody can verify the format %q", strict.Clip(d.Format)), "the formats are "+strings.Join(formats.All().Formats(), ", "))
		case formats.Lacks(d.Format, string(d.algorithm)) != "":
			f.reach(claim, evidence.NotShown, fmt.Sprintf("%s is of %s, and %s can't attest it: %s", d.key, d.algorithm, d.Format, formats.Lacks(d.Format, string(d.algorithm))), "plan another algorithm or another device for it")
		case len(b.Anchors.For(d.Format)) > 0 && least == attest.Fresh && !formats.Challenged(d.Format):
			f.reach(claim, evidence.NotShown, fmt.Sprintf("the policy demands %s evidence, and %s has no room for a nonce", least, d.Format), "demand least: anchored of it")
		case len(b.Anchors.For(d.Format)) > 0:
			continue
		case least >= attest.Anchored:
			f.reach(claim, evidence.NotShown, "the policy pins no anchor for "+d.Format, "add its anchor under attestation: anchors:, as fleetctl attestation anchors lists them, or that of the authority that you know")
		default:
			f.reach(claim, evidence.Device, "the policy pins no anchor for "+d.Format+": without one it is the device's own word", "add its anchor under attestation: anchors:")
		}
		return
	}
}

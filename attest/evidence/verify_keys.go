package evidence

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// keyClaims grades what the transcript says of the keys. That every check was
// made and passed is what its replay has shown: a record of a failed one lets
// nothing follow but an abort. signed says that a pinned third party signed
// the artifact, which names the transcript's head and so makes it theirs.
func (v *verifier) keyClaims(a *ceremony.Account, signed bool) {
	if a.FleetCheck == nil || a.Fault != "" {
		for _, c := range []string{ClaimGenerated, ClaimNonexportable, ClaimPossession, ClaimAgreement, ClaimFleetChecked} {
			v.lack(c, recordOf(a.N), "", "the ceremony did not get to its fleet check")
		}
		return
	}
	first, last := a.Keys[0].N, a.Keys[len(a.Keys)-1].N
	where := fmt.Sprintf("%s, records %d to %d", ceremony.TranscriptFile, first, last)
	n := len(a.Keys)
	v.show(ClaimGenerated, Device, where, "%s generated inside by their own word (LOCAL)", keyCount(n))
	untaken := ceremony.Beyond(a.Tolerated(), v.policy.Tolerates)
	if len(untaken) == 0 {
		v.show(ClaimNonexportable, Device, where, "%s", v.refusals(a))
	} else {
		v.intolerable(ClaimNonexportable, where, untaken)
	}
	switch n := len(a.KeysOf(keys.Sign)); {
	case n == 0:
		v.lack(ClaimPossession, ceremony.PlanFile, "", "the plan has no key that signs")
	case signed:
		v.show(ClaimPossession, Proven, where, "%d of %d keys answered their nonce", n, n)
	default:
		v.show(ClaimPossession, Device, where, "%d of %d keys answered their nonce; no pinned key signs this transcript", n, n)
	}
	v.agreement(a, where)
	grade, who := Device, "by the HSMs' own word"
	if signed && v.r.Claim(ClaimReleaseSignoff).Grade == Proven {
		grade, who = Attested, "signed off with the release"
	}
	if len(untaken) > 0 {
		// Its matrix has such a key pass.
		v.intolerable(ClaimFleetChecked, recordOf(a.FleetCheckN), untaken)
		return
	}
	if why := v.together(a); why != "" {
		v.lack(ClaimFleetChecked, ceremony.PlanFile, "", "%s", why)
		return
	}
	known := "each known by its serial"
	switch {
	case v.r.Claim(ClaimKeyAttested).Grade >= Attested:
		known = "each known by its attestation"
	case a.Plan.Attested():
		known = "no attestation of theirs is shown"
	}
	v.show(ClaimFleetChecked, grade, recordOf(a.FleetCheckN), "%d HSMs, %d checks each, majority %d; %s; %s",
		len(a.FleetCheck.Rows), len(a.FleetCheck.Checks), a.FleetCheck.Majority, known, who)
}

// agreement grades what keys that agree have shown. Each answered to a peer, and
// whoever knew that one's private half needed no HSM for it: the answer convinces the
// auditor who drew it and kept it, and others by that auditor's word. Their word is
// the sign-off of the release, which stands on the records that name them.
func (v *verifier) agreement(a *ceremony.Account, where string) {
	list := a.KeysOf(keys.Agree)
	if len(list) == 0 {
		v.lack(ClaimAgreement, ceremony.PlanFile, "", "the plan has no key that agrees")
		return
	}
	var names []string
	for _, k := range list {
		name := k.Peer.Challenger
		switch {
		case k.Peer.By != ceremony.Auditor:
			v.show(ClaimAgreement, Device, where, "%d of %d keys answered; nobody challenged the one of %s %s: whoever drew its peer could have answered", len(list), len(list), k.HSM, k.Role)
			return
		case v.auditors == nil:
			v.show(ClaimAgreement, Device, where, "%d of %d keys answered %s, whose sign-off of the release isn't shown here", len(list), len(list), name)
			return
		case !v.agreed(a, name):
			v.show(ClaimAgreement, Device, where, "%d of %d keys answered; %s, who challenged %s %s, gives no word for it that counts", len(list), len(list), name, k.HSM, k.Role)
			return
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	v.show(ClaimAgreement, Attested, where, "%d of %d keys answered the challenge of %s, who signed the release off", len(list), len(list), strings.Join(names, ", "))
}

// agreed says whether an auditor of the plan is one whose agreement to the release
// counts. Plan and policy may call a person by different names: the key tells.
func (v *verifier) agreed(a *ceremony.Account, name string) bool {
	for _, p := range a.Plan.People {
		if p.Name != name || p.Role != ceremony.Auditor {
			continue
		}
		key, err := sshsig.ParsePublicKey(p.Key)
		if err != nil {
			return false
		}
		for _, pinned := range v.policy.people {
			other, err := sshsig.ParsePublicKey(pinned.Key)
			if err == nil && other.Fingerprint() == key.Fingerprint() && slices.Contains(v.auditors, pinned.Name) {
				return true
			}
		}
	}
	return false
}

// refusals says what was tried on the keys and what they read as.
func (v *verifier) refusals(a *ceremony.Account) string {
	refused, notShown := 0, map[string]bool{}
	for _, k := range a.Keys {
		refused += k.Refused()
		for _, name := range k.NotShown(a.Plan.RoleIn(k.HSM, k.Role)) {
			notShown[name] = true
		}
	}
	detail := fmt.Sprintf("read back as planned; %d attempts refused", refused)
	if list := a.Tolerated(); len(list) > 0 {
		detail += fmt.Sprintf("; tolerated, as plan and policy say: %s, undone after the others were made again and refused", ceremony.TellTolerated(list))
	}
	if len(notShown) > 0 {
		detail += "; not shown: " + strings.Join(slices.Sorted(maps.Keys(notShown)), ", ")
	}
	return detail
}

// intolerable is a claim that rests on what the plan tolerates and the policy
// doesn't.
func (v *verifier) intolerable(claim, where string, list []ceremony.Tolerated) {
	v.lack(claim, where, "whoever takes such keys says so in the policy, under tolerates",
		"%s succeeded; the plan tolerates it, the policy does not", ceremony.TellTolerated(list))
}

func keyCount(n int) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}

// lockdown grades what was done by hand once the bundle was logged. Its records
// are people's word, and count as that once they have signed the close, which
// holds them all. That a token refused a login is in them too, as the token's
// own word.
func (v *verifier) lockdown(a *ceremony.Account) {
	planned := len(a.Plan.Lockdown)
	switch {
	case planned == 0:
		v.lack(ClaimLockdown, ceremony.PlanFile, "", "the plan has no lock-down")
		return
	case len(a.Lockdowns) < planned:
		v.lack(ClaimLockdown, recordOf(a.N), "", "%d of %d entries of the plan are on the record", len(a.Lockdowns), planned)
		return
	case len(a.NotRefused) > 0:
		v.lack(ClaimLockdown, recordOf(a.N), "", "that %s refuses the PIN that opened it was not shown%s", strings.Join(a.NotRefused, ", "), stillOpen(a))
		return
	case v.r.Claim(ClaimCloseSignoff).Grade < Proven:
		v.lack(ClaimLockdown, recordOf(a.N), "", "%s on the record, but the close is not signed off", entries(planned))
		return
	}
	refused := 0
	for _, l := range a.Lockdowns {
		if l.Code != "" {
			refused++
		}
	}
	detail := entries(planned) + " done as planned"
	if refused > 0 {
		detail += fmt.Sprintf(", %d of them a login that was refused", refused)
	}
	detail += stillOpen(a)
	v.show(ClaimLockdown, Attested, recordOf(a.N), "%s; signed off with the close", detail)
}

// stillOpen names the tries by which a PIN still got in after a lock-down.
func stillOpen(a *ceremony.Account) string {
	if len(a.StillOpen) == 0 {
		return ""
	}
	list := make([]string, len(a.StillOpen))
	for i, n := range a.StillOpen {
		list[i] = fmt.Sprint(n)
	}
	return "; after a lock-down a PIN still got in, record " + strings.Join(list, ", ")
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

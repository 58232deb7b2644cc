package device

import (
	"time"

	"github.com/fleetctl/fleetctl/bundle"
)

// a is a case that is accepted, of a bundle with a proof of its own.
func a(name, what, b, state string) vector {
	return vector{Name: name, What: what, Bundle: b, Proof: b, Policy: "policy", State: state, Guard: state, Time: at(now), Verdict: "accepted"}
}

// first is one at first contact.
func first(name, what, b string) vector {
	c := a(name, what, b, "")
	c.Begin = true
	return c
}

func (c vector) proof(name string) vector  { c.Proof = name; return c }
func (c vector) policy(name string) vector { c.Policy = name; return c }
func (c vector) guard(name string) vector  { c.Guard = name; return c }
func (c vector) time(t time.Time) vector   { c.Time = at(t); return c }
func (c vector) unasked() vector           { c.Begin = false; return c }

// no is the case, refused; an equivocation is an alarm.
func (c vector) no(why bundle.Reason) vector {
	c.Verdict, c.Reason = "refused", string(why)
	if why == bundle.ReasonEquivocation {
		c.Verdict = "alarm"
	}
	return c
}

// unjudged is the case, which can't be judged.
func (c vector) unjudged() vector { c.Verdict = "error"; return c }

func cases() []vector {
	list := []vector{
		first("first-contact", "nothing is wrong", "epoch-1"),
		first("first-contact-later-epoch", "nothing is wrong: that it is the latest epoch is not shown", "epoch-2"),
		a("again", "nothing is wrong: the same bundle and proof again", "epoch-1", "saw-1"),
		a("next-epoch", "nothing is wrong", "epoch-2", "saw-1"),
		a("epoch-skipped", "nothing is wrong: epoch 2 was never seen", "epoch-3", "saw-1"),
		a("retirement", "nothing is wrong: from now on no epoch of this fleet is accepted", "retirement", "saw-1-2"),
		a("retirement-again", "nothing is wrong", "retirement", "saw-1-2-retirement"),
		a("void", "nothing is wrong: epoch 2 is void, and the keys of epoch 1 are in force again", "void-of-2", "saw-1-2"),
		a("keys-after-the-void", "nothing is wrong: epoch 1 again", "epoch-1", "saw-1-2-void"),
		a("void-of-an-epoch-never-seen", "nothing is wrong: the keys of epoch 1 stay", "void-of-2", "saw-1"),
		a("keys-after-two-voids", "nothing is wrong: epochs 2 and 4 are void, and the keys of epoch 1 are in force", "epoch-1", "saw-two-voids"),
		a("missed-before-a-void", "nothing is wrong: epoch 3 is void, and epoch 2, which the device has missed, is in force", "epoch-2", "saw-1-and-void-of-3"),
		a("epoch-after-the-void", "nothing is wrong", "epoch-4-after-the-void", "saw-1-2-void"),
		first("signed-by-a-third-one-too", "nothing is wrong: a signature by a key that isn't pinned counts for nothing", "signed-again"),
		a("signed-again", "nothing is wrong: the same artifact in another bundle", "signed-again", "saw-1"),
		first("white-space", "nothing is wrong: white space in the bundle's JSON is free", "white-space"),
		a("a-day-old", "nothing is wrong: witnessed exactly as long ago as is allowed", "epoch-1", "saw-1").proof("half-a-day-old").time(hour(12)),
		a("clock-four-minutes-behind", "nothing is wrong: clocks may differ by five minutes", "epoch-1", "saw-1").time(now.Add(-4 * time.Minute)),

		first("no-json", "the bundle's first byte is missing", "no-json").no(bundle.ReasonMalformed),
		first("member-twice", "the bundle has its format twice", "twice").no(bundle.ReasonMalformed),
		first("unknown-member", "the bundle has a member that the format doesn't know", "unknown-member").no(bundle.ReasonMalformed),
		first("cut-off", "half a bundle", "cut-off").no(bundle.ReasonMalformed),
		first("more-behind", "something stands behind the bundle", "more-behind").no(bundle.ReasonMalformed),
		first("too-large", "a bundle of more than 65,535 bytes", "too-large").no(bundle.ReasonMalformed),
		first("not-a-proof", "the bundle in place of its proof", "epoch-1").proof("not-a-proof").no(bundle.ReasonMalformed),
		first("no-proof", "no proof at all", "epoch-1").proof("").no(bundle.ReasonMalformed),

		first("proof-of-another-bundle", "the proof of epoch 2 beside epoch 1", "epoch-1").proof("epoch-2").no(bundle.ReasonLog),
		first("another-log", "a log that isn't pinned", "epoch-1").proof("another-log").no(bundle.ReasonLog),
		first("another-index", "the proof's index is another entry's", "epoch-1").proof("another-index").no(bundle.ReasonLog),
		first("forged-witness", "a cosignature under a pinned witness's name that is over something else", "epoch-1").proof("forged-witness").no(bundle.ReasonLog),
		first("another-key", "a cosignature under a pinned witness's name by another key", "epoch-1").proof("another-key").no(bundle.ReasonWitnesses),
		first("one-witness", "one of two witnesses cosigned", "epoch-1").proof("one-witness").no(bundle.ReasonWitnesses),
		first("nobody-witnessed", "no witness cosigned", "epoch-1").proof("nobody-witnessed").no(bundle.ReasonWitnesses),
		first("from-the-future", "witnesses cosigned an hour from now", "epoch-1").proof("from-the-future").no(bundle.ReasonWitnesses),
		first("too-old", "one of two witnesses cosigned 25 hours ago, and 24 are allowed", "epoch-1").proof("too-old").no(bundle.ReasonAge),
		a("proof-outlived", "a proof that was fresh a day and a second ago", "epoch-1", "saw-1").time(hour(24).Add(time.Second)).no(bundle.ReasonAge),
		first("before-it-was-made", "witnesses say to have seen it before it was created", "epoch-1").proof("before-it-was-made").no(bundle.ReasonSignatures),
		a("clock-set-back", "the device's clock is eight hours before what it saw witnesses sign, and an old proof is fresh to it", "epoch-1", "saw-1").proof("eight-hours-old").time(hour(-8)).no(bundle.ReasonClock),

		first("rehearsal", "a rehearsal's bundle for a production policy", "rehearsal").no(bundle.ReasonNamespace),
		first("another-namespace", "signed by the same people for another namespace", "another-namespace").no(bundle.ReasonNamespace),
		first("one-signer", "one of the two third parties that are needed", "one-signer").no(bundle.ReasonSignatures),
		first("strangers-sign", "a third party that isn't pinned in place of one that is", "strangers-sign").no(bundle.ReasonSignatures),
		first("bad-signature", "a pinned third party's signature over other bytes", "bad-signature").no(bundle.ReasonSignatures),
		first("bad-signature-not-needed", "the same, where the other signature would be enough", "bad-signature").policy("one-third-party-needed").no(bundle.ReasonSignatures),
		first("another-countersigner", "countersigned by somebody who isn't pinned", "another-countersigner").no(bundle.ReasonSignatures),
		first("third-party-compromised", "a third party's key was compromised before witnesses had seen its signature", "epoch-1").policy("third-party-compromised").no(bundle.ReasonSignatures),

		a("another-fleet", "a fleet of the same people, which isn't the device's", "another-fleet", "saw-1").no(bundle.ReasonFleet),
		a("rolled-back", "epoch 1 after epoch 2", "epoch-1", "saw-1-2").no(bundle.ReasonEpoch),
		a("rolled-back-to-one-never-seen", "epoch 2 after epoch 3", "epoch-2", "saw-1-3").no(bundle.ReasonEpoch),
		a("rolled-back-after-a-void", "epoch 1 after epoch 4, which ended what the void had brought back", "epoch-1", "saw-void-4").no(bundle.ReasonEpoch),
		a("void-epoch", "epoch 2 after it was declared void", "epoch-2", "saw-1-2-void").no(bundle.ReasonVoid),
		a("void-epoch-after-a-later-void", "epoch 2, after epoch 4 was declared void too", "epoch-2", "saw-two-voids").no(bundle.ReasonEpoch),
		a("void-epoch-after-a-void-of-the-void", "epoch 2, after the void of it was declared void: that brings nothing back", "epoch-2", "saw-a-void-of-the-void").no(bundle.ReasonEpoch),
		a("second-artifact", "another artifact for the epoch that was seen", "second-epoch-2", "saw-1-2").no(bundle.ReasonEquivocation),
		a("second-artifact-after-a-void", "another artifact for the epoch whose keys are in force again", "second-epoch-1", "saw-1-2-void").no(bundle.ReasonEquivocation),
		a("another-past", "epoch 2 that follows another epoch 1 than the one that was seen", "epoch-2-of-the-second", "saw-1").no(bundle.ReasonEquivocation),
		a("void-in-place-of-a-retirement", "a void for the epoch of the retirement that was seen", "void-of-2", "saw-1-2-retirement").no(bundle.ReasonEquivocation),
		a("after-its-retirement", "an epoch after the fleet's retirement", "epoch-4-after-the-retirement", "saw-1-2-retirement").no(bundle.ReasonRetired),
		a("keys-of-a-retired-fleet", "the keys of a fleet whose retirement was seen, before it takes effect", "epoch-2", "saw-1-2-retirement").no(bundle.ReasonRetired),
		a("keys-of-a-fleet-retired-since", "the same, after it took effect", "epoch-2", "retired-at-once").no(bundle.ReasonRetired),

		first("pinned-artifact", "nothing is wrong: the artifact is pinned", "epoch-1").policy("pins-artifact-of-epoch-1"),
		first("pinned-keys", "nothing is wrong: every key is pinned", "epoch-1").policy("pins-keys-of-epoch-1"),
		a("pinned-and-retired", "nothing is wrong: a retirement needs no pin", "retirement", "saw-1-2").policy("pins-artifact-of-epoch-1"),
		a("artifact-not-pinned", "the next epoch, which the policy doesn't pin", "epoch-2", "saw-1").policy("pins-artifact-of-epoch-1").no(ReasonPinned),
		a("keys-not-pinned", "the next epoch, whose keys the policy doesn't pin", "epoch-2", "saw-1").policy("pins-keys-of-epoch-1").no(ReasonPinned),
		first("one-key-not-pinned", "one key of three isn't pinned", "epoch-1").policy("pins-two-of-three-keys").no(ReasonPinned),
		first("post-quantum-sessions", "nothing is wrong: the role that signs sessions has ML-DSA keys, as the policy demands", "post-quantum-sessions").policy("sessions-post-quantum"),
		first("no-post-quantum-sessions", "a key set without the role of ML-DSA keys that the policy demands", "epoch-1").policy("sessions-post-quantum").no(ReasonPinned),
		first("some-post-quantum-sessions", "a role in which one HSM of three has no ML-DSA key", "some-post-quantum-sessions").policy("sessions-post-quantum").no(ReasonPinned),
		first("pinned-and-unsigned", "a pinned artifact that too few signed", "one-signer").policy("pins-artifact-of-epoch-1").no(bundle.ReasonSignatures),
	}
	return append(list, stateCases()...)
}

// stateCases are about what the device remembers.
func stateCases() []vector {
	list := []vector{
		first("not-begun", "no state, and nobody says that this is the first contact", "epoch-1").unasked().no(ReasonState),
		a("state-gone", "the state is gone, and its guard is there", "epoch-1", "").guard("saw-1").no(ReasonState),
		first("state-gone-and-begun-again", "the same, and somebody says that this is the first contact", "epoch-1").guard("saw-1").no(ReasonState),
		a("guard-gone", "the guard is gone, and the state is there", "epoch-1", "saw-1").guard("").no(ReasonState),
		a("state-put-back", "the state of before epoch 2, from a copy", "epoch-1", "saw-1").guard("saw-1-2").no(ReasonState),
		a("guard-put-back", "the guard of before epoch 2, from a copy", "epoch-2", "saw-1-2").guard("saw-1").no(ReasonState),
		a("killed-before-the-first-state", "nothing is wrong: a check was killed after it had written the guard", "epoch-1", "").guard("first-begun"),
		a("killed-after-the-first-state", "nothing is wrong: a check was killed after it had written the state", "epoch-1", "saw-1").guard("first-begun"),
		a("killed-before-the-new-state", "nothing is wrong: the same, at epoch 2", "epoch-2", "saw-1").guard("from-1-to-2"),
		a("killed-after-the-new-state", "nothing is wrong: the guard names the new state alone again", "epoch-2", "saw-1-2").guard("from-1-to-2"),
		a("killed-and-rolled-back", "epoch 1, after a check of epoch 2 was killed once the state was written", "epoch-1", "saw-1-2").guard("from-1-to-2").no(bundle.ReasonEpoch),
		a("guard-of-nothing", "a state, and a guard that has seen none", "epoch-1", "saw-1").guard("nothing-yet").no(ReasonState),
		a("guard-malformed", "a guard without its first line", "epoch-1", "saw-1").guard("no-guard").no(ReasonState),
		a("guard-names-one-twice", "a guard that names one state twice", "epoch-1", "saw-1").guard("twice-the-same").no(ReasonState),
		a("guard-of-zeros", "a guard with a digest of zeros", "epoch-1", "saw-1").guard("zeros").no(ReasonState),
		a("state-of-another-namespace", "a state of another namespace than the policy's", "epoch-1", "of-another-namespace").unjudged(),
		a("state-of-another-fleet", "a state of another fleet", "epoch-1", "of-another-fleet").no(bundle.ReasonFleet),
	}
	for _, s := range [][2]string{
		{"unknown-member", "a state with a member that the format doesn't know"}, {"white-space", "a state in another form than the one in which it is written"}, {"epoch-0", "a state without an epoch"},
		{"cut-off", "half a state"}, {"empty", "an empty state, which is no first contact"}, {"keys-of-another-epoch", "keys in force of another epoch than the newest"},
		{"retired-without-time", "a retired fleet, and nothing says from when on"}, {"standing-unknown", "a standing that there isn't"},
		{"nothing-closed", "keys that superseded others, and no epoch is over"}, {"closed-too-far", "the newest epoch is over, and its keys are in force"},
	} {
		list = append(list, a("state-"+s[0], s[1], "epoch-1", s[0]).no(ReasonState))
	}
	for _, p := range [][2]string{
		{"nobody-needed", "a policy by which no third party has to sign"}, {"no-quorum", "a policy by which no witness has to cosign"}, {"any-age", "a policy without a greatest age"},
		{"no-operator", "a policy by which nobody has to countersign"}, {"empty-pins", "a policy with an empty list of pins"}, {"unknown-member", "a policy with a member that the format doesn't know"},
	} {
		list = append(list, first("policy-"+p[0], p[1], "epoch-1").policy(p[0]).unjudged())
	}
	return list
}

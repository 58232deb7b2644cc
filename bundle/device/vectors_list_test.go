package device

import (
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// newVectors makes everything that the cases are about.
func newVectors() *vectors {
	v := &vectors{Bundles: map[string]string{}, Proofs: map[string]string{}, Policies: map[string]string{}, States: map[string]string{}, Guards: map[string]string{}}
	one := made{}.bundle()
	two := made{after: one}.bundle()
	void3 := made{after: two, notice: bundle.VoidFormat}.bundle()
	three, four := made{after: two}.bundle(), made{after: void3}.bundle()
	retired := made{after: two, notice: bundle.RetirementFormat}.bundle()
	other1 := made{keys: "other/"}.bundle()
	bundles := map[string]*bundle.Bundle{
		"epoch-1": one, "epoch-2": two, "epoch-3": three, "void-of-3": made{after: three, notice: bundle.VoidFormat}.bundle(), "void-of-2": void3, "epoch-4-after-the-void": four,
		"void-of-4": made{after: four, notice: bundle.VoidFormat}.bundle(), "void-of-the-void": made{after: void3, notice: bundle.VoidFormat}.bundle(),
		"retirement": retired, "epoch-4-after-the-retirement": made{after: retired}.bundle(),
		"second-epoch-1": other1, "second-epoch-2": made{after: one, keys: "other/"}.bundle(), "epoch-2-of-the-second": made{after: other1}.bundle(),
		"another-fleet": made{fleet: "backup-2027a"}.bundle(), "another-namespace": made{namespace: "example.other.v1"}.bundle(),
		"rehearsal":      made{mode: bundle.Rehearsal, namespace: "rehearsal." + namespace}.bundle(),
		"one-signer":     made{signers: []string{"tp-1"}}.bundle(),
		"strangers-sign": made{signers: []string{"tp-1", "tp-9"}}.bundle(),
		"bad-signature":  made{spoil: true}.bundle(), "another-countersigner": made{by: "somebody"}.bundle(),
		"post-quantum-sessions": made{postQuantum: []string{"hsm-1", "hsm-2", "hsm-3"}}.bundle(), "some-post-quantum-sessions": made{postQuantum: []string{"hsm-1", "hsm-2"}}.bundle(),
		"signed-again": made{signers: []string{"tp-1", "tp-2", "tp-3"}}.bundle(),
	}
	for name, b := range bundles {
		v.Bundles[name] = b64(b.Raw())
		v.Proofs[name] = string(fresh(b))
	}
	raw := string(one.Raw())
	for name, text := range map[string]string{
		"no-json": raw[1:], "twice": swap(raw, "{\n  \"format\"", "{\n  \"format\": \""+bundle.BundleFormat+"\",\n  \"format\""),
		"unknown-member": swap(raw, "  \"statements\"", "  \"extra\": 1,\n  \"statements\""), "cut-off": raw[:len(raw)/2], "more-behind": raw + "{}",
		"too-large": raw[:len(raw)-2] + strings.Repeat(" ", 1<<16) + "}\n", "white-space": swap(raw, "  \"statements\"", "   \"statements\""),
	} {
		v.Bundles[name], v.Proofs[name] = b64([]byte(text)), string(proof(logKey, []byte(text), now, now))
	}
	none := time.Time{}
	for name, p := range map[string][]byte{
		"one-witness": proof(logKey, one.Raw(), now, none), "nobody-witnessed": proof(logKey, one.Raw(), none, none), "half-a-day-old": proof(logKey, one.Raw(), hour(-12), hour(-12)), "too-old": proof(logKey, one.Raw(), hour(-25), now),
		"from-the-future": proof(logKey, one.Raw(), hour(1), hour(1)), "before-it-was-made": proof(logKey, one.Raw(), hour(-15), hour(-15)), "another-log": proof(otherLog, one.Raw(), now, now), "not-a-proof": one.Raw(),
		"eight-hours-old": proof(logKey, one.Raw(), hour(-8), hour(-8)),
	} {
		v.Proofs[name] = string(p)
	}
	good := proof(logKey, one.Raw(), now, now)
	last := string(good[strings.LastIndex(string(good), "— "):])
	v.Proofs["forged-witness"] = swap(string(good), last, witness2.line("other\n", now))
	v.Proofs["another-key"] = swap(string(good), last, strings.Replace(witness1.line("other\n", now), witness1.name, witness2.name, 1))
	v.Proofs["another-index"] = swap(string(good), "index 1\n", "index 0\n")
	v.policies(one, two)
	v.states(bundles)
	v.Cases = cases()
	return v
}

func (v *vectors) policies(one, two *bundle.Bundle) {
	good := string(policy(Pins{}).Raw())
	v.Policies["policy"] = good
	v.Policies["pins-artifact-of-epoch-1"] = string(policy(Pins{Artifacts: [][32]byte{one.About().Digest}}).Raw())
	var keys [][]byte
	for _, k := range one.KeySet.Keys {
		keys = append(keys, k.SPKI)
	}
	v.Policies["pins-keys-of-epoch-1"] = string(policy(Pins{Keys: keys}).Raw())
	v.Policies["pins-two-of-three-keys"] = string(policy(Pins{Keys: keys[:2]}).Raw())
	v.Policies["sessions-post-quantum"] = string(policy(Pins{SessionPostQuantum: "session-pq"}).Raw())
	window := "\n      \"window\": {\n        \"compromised_after\": \"2026-11-21T11:00:00Z\"\n      }"
	key := "\"key\": \"" + b64(seedKey("tp-1")) + "\""
	v.Policies["third-party-compromised"] = swap(good, key, key+","+window)
	v.Policies["one-third-party-needed"] = swap(good, "\"third_parties_needed\": 2", "\"third_parties_needed\": 1")
	v.Policies["nobody-needed"] = swap(good, "\"third_parties_needed\": 2", "\"third_parties_needed\": 0")
	v.Policies["no-quorum"] = swap(good, "quorum both", "quorum none")
	v.Policies["any-age"] = swap(good, "\"max_age\": 86400", "\"max_age\": 0")
	v.Policies["no-operator"] = good[:strings.Index(good, "\"operators\": [")] + "\"operators\": [],\n  " + good[strings.Index(good, "\"log_policy\""):]
	v.Policies["empty-pins"] = swap(good, "\n}", ",\n  \"artifacts\": []\n}")
	v.Policies["unknown-member"] = swap(good, "\n}", ",\n  \"tolerates\": []\n}")
}

func seedKey(name string) []byte { k := edRaw(name); return k[:] }

// states are those of a device that saw bundles in this order.
func (v *vectors) states(bundles map[string]*bundle.Bundle) {
	p := policy(Pins{})
	for name, seen := range map[string][]string{
		"saw-1": {"epoch-1"}, "saw-1-2": {"epoch-1", "epoch-2"}, "saw-1-2-void": {"epoch-1", "epoch-2", "void-of-2"},
		"saw-1-2-retirement": {"epoch-1", "epoch-2", "retirement"}, "saw-void-4": {"epoch-1", "epoch-2", "void-of-2", "epoch-4-after-the-void"}, "saw-1-3": {"epoch-1", "epoch-3"},
		"saw-two-voids": {"epoch-1", "epoch-2", "void-of-2", "epoch-4-after-the-void", "void-of-4"}, "saw-a-void-of-the-void": {"epoch-1", "epoch-2", "void-of-2", "void-of-the-void"},
		"saw-1-and-void-of-3": {"epoch-1", "void-of-3"},
	} {
		var s *State
		for _, b := range seen {
			s = must(Judge(bundles[b].Raw(), fresh(bundles[b]), p, s, now)).State
		}
		v.States[name], v.Guards[name] = string(s.Raw()), settled(string(s.Raw()))
	}
	saw1, saw12 := v.States["saw-1"], v.States["saw-1-2"]
	v.States["of-another-fleet"] = swap(saw1, "backup-2026a", "backup-2027a")
	v.States["of-another-namespace"] = swap(saw1, namespace, "example.other.v1")
	v.States["retired-at-once"] = swap(v.States["saw-1-2-retirement"], strict.FormatTime(hour(24)), strict.FormatTime(hour(-1)))
	for _, name := range []string{"of-another-fleet", "of-another-namespace", "retired-at-once"} {
		v.Guards[name] = settled(v.States[name])
	}
	for name, text := range map[string]string{
		"unknown-member": swap(saw1, "\n}", ",\n  \"more\": 1\n}"), "white-space": swap(saw1, "  \"epoch\": 1,\n  \"artifact\"", "   \"epoch\": 1,\n  \"artifact\""),
		"epoch-0": swap(saw1, "  \"epoch\": 1,\n  \"artifact\"", "  \"epoch\": 0,\n  \"artifact\""), "cut-off": saw1[:len(saw1)/2], "empty": "",
		"keys-of-another-epoch": swap(saw12, "  \"epoch\": 2,\n  \"artifact\"", "  \"epoch\": 3,\n  \"artifact\""),
		"retired-without-time":  swap(saw1, "\"standing\": \"keys\"", "\"standing\": \"retired\""), "standing-unknown": swap(saw1, "\"standing\": \"keys\"", "\"standing\": \"fine\""),
		"nothing-closed": swap(saw12, "  \"closed\": 1,\n", ""), "closed-too-far": swap(saw12, "\"closed\": 1", "\"closed\": 2"),
	} {
		v.States[name], v.Guards[name] = text, string((&guard{state: sum([]byte(text))}).text())
	}
	one, two := sum([]byte(saw1)), sum([]byte(saw12))
	for name, g := range map[string]guard{"nothing-yet": {}, "first-begun": {next: one}, "from-1-to-2": {state: one, next: two}} {
		v.Guards[name] = string(g.text())
	}
	v.Guards["no-guard"] = "state " + none + "\n"
	v.Guards["twice-the-same"] = string((&guard{state: one, next: one}).text())
	v.Guards["zeros"] = guardHeader + "\nstate " + strings.Repeat("0", 64) + "\nnext -\n"
}

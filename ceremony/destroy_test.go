package ceremony_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// destroying is a ceremony that destroyed the keys of two HSMs, one that signs and one
// that agrees in each, with all keys in the test's hands.
func destroying(t *testing.T) *testfleet.Fleet {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "destroying", HSMs: 2, Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.X25519}}})
	g := f.Destroying(t, nil)
	for _, tok := range f.Tokens {
		tok.Remember()
	}
	if err := g.Destroy("destroying"); err != nil {
		t.Fatal(err)
	}
	for _, tok := range f.Tokens {
		tok.Recall() // the forger has a copy of every key
	}
	return g
}

func destruction(x *forger) *ceremony.Destruction {
	return x.get(ceremony.KindDestruction, 0).content.(*ceremony.Destruction)
}

// resumed puts a resume before record n, in the step of the key that showed itself there.
func resumed(x *forger, n int) {
	since := x.entries[n-1].time
	intent := x.at(ceremony.KindTarget, 0) + 1
	x.insert(n, &ceremony.Resume{Since: since, Intent: intent})
}

// once puts in copies of records, which come once more.
func once(x *forger, n int, kinds ...ceremony.Kind) {
	for i, k := range kinds {
		e := *x.get(k, 0)
		switch c := e.content.(type) {
		case *ceremony.Possession:
			e.content = &ceremony.Possession{Intent: c.Intent, Signature: c.Signature}
		case *ceremony.DestroyIntent:
			e.content = &ceremony.DestroyIntent{Target: c.Target, ID: c.ID}
		}
		e.time = x.entries[n+i-1].time
		x.entries = slices.Insert(x.entries, n+i, &e)
	}
}

// destructionForms are interruptions that a destruction can have.
var destructionForms = map[string]func(x *forger){
	"a destruction that was interrupted before its intent": func(x *forger) {
		n := x.at(ceremony.KindDestroyIntent, 0)
		resumed(x, n)
		once(x, n+1, ceremony.KindTarget, ceremony.KindPossession)
	},
	"a destruction that was interrupted and the key is still there": func(x *forger) {
		n := x.at(ceremony.KindDestruction, 0)
		resumed(x, n)
		once(x, n+1, ceremony.KindTarget, ceremony.KindPossession, ceremony.KindDestroyIntent)
	},
	"a destruction that was interrupted and the key is gone": func(x *forger) {
		resumed(x, x.at(ceremony.KindDestruction, 0))
		destruction(x).Held, destruction(x).Attempts = nil, []ceremony.Attempt{}
		destruction(x).Held = []string{}
	},
	"a destruction that was interrupted between the halves": func(x *forger) {
		resumed(x, x.at(ceremony.KindDestruction, 0))
		destruction(x).Held, destruction(x).Attempts = []string{"public"}, destruction(x).Attempts[1:2]
	},
}

// destructionFaults are records that no ceremony which destroys keys can have.
var destructionFaults = map[string]struct {
	forge func(x *forger)
	want  string
}{
	"no retirement":            {func(x *forger) { x.drop(x.at(ceremony.KindRetirement, 0)) }, `wants a record "retirement" here`},
	"words that nobody read":   {func(x *forger) { x.drop(x.at(ceremony.KindRetirement, 0) + 1) }, `wants a record "challenge" here`},
	"words of another epoch":   {func(x *forger) { x.get(ceremony.KindChallenge, 1).content.(*ceremony.Challenge).Subject = [32]byte{1} }, "it is not about the step's key-set"},
	"a key that nobody showed": {func(x *forger) { x.drop(x.at(ceremony.KindTarget, 0)) }, `wants a record "target" here`},
	"no proof of possession":   {func(x *forger) { x.drop(x.at(ceremony.KindPossession, 0)) }, `wants a record "possession" here`},
	"no intent":                {func(x *forger) { x.drop(x.at(ceremony.KindDestroyIntent, 0)) }, `wants a record "destroy-intent" here`},
	"nobody looked again":      {func(x *forger) { x.drop(x.at(ceremony.KindGone, 0)) }, `wants a record "gone" here`},
	"another public key": {func(x *forger) {
		change(x.get(ceremony.KindTarget, 0), func(c *ceremony.Target) { c.PublicKey[0] ^= 1 })
	}, "another public key than the plan destroys"},
	"another CKA_ID": {func(x *forger) {
		change(x.get(ceremony.KindTarget, 0), func(c *ceremony.Target) { c.ID = slices.Clone(c.ID); c.ID[0] ^= 1 })
	}, "the plan destroys"},
	"another role": {func(x *forger) {
		change(x.get(ceremony.KindTarget, 0), func(c *ceremony.Target) { c.Role = "sealing" })
	}, "the plan destroys"},
	"another HSMs key": {func(x *forger) { change(x.get(ceremony.KindTarget, 0), func(c *ceremony.Target) { c.HSM = "hsm-2" }) }, `it is about hsm "hsm-2"`},
	"a private half alone": {func(x *forger) {
		change(x.get(ceremony.KindTarget, 0), func(c *ceremony.Target) { c.Halves = []string{"private"} })
	}, "one private and one public are wanted"},
	"a signature by another": {func(x *forger) {
		change(x.get(ceremony.KindPossession, 0), func(c *ceremony.Possession) { c.Signature = make([]byte, 64) })
	}, "after a failed check"},
	"an intent of another key": {func(x *forger) {
		x.get(ceremony.KindDestroyIntent, 0).content.(*ceremony.DestroyIntent).ID = make([]byte, 16)
	}, "the key that showed itself has"},
	"an intent of no target": {func(x *forger) {
		change(x.get(ceremony.KindDestroyIntent, 0), func(c *ceremony.DestroyIntent) { c.Target = 1 })
	}, "it is about intent 1"},
	"before it is in force":           {func(x *forger) { inForceLater(x) }, "none is destroyed before"},
	"begun again without cause":       {func(x *forger) { once(x, x.at(ceremony.KindDestroyIntent, 0), ceremony.KindTarget) }, "nothing interrupted it"},
	"gone without cause":              {func(x *forger) { destruction(x).Held, destruction(x).Attempts = []string{}, []ceremony.Attempt{} }, "it can't hold less now"},
	"not shown again":                 {func(x *forger) { resumed(x, x.at(ceremony.KindDestruction, 0)) }, "it shows itself again before it is destroyed"},
	"an intent after an interruption": {func(x *forger) { resumed(x, x.at(ceremony.KindDestroyIntent, 0)) }, "it shows itself again before it is destroyed"},
	"of another intent": {func(x *forger) {
		change(x.get(ceremony.KindDestruction, 0), func(c *ceremony.Destruction) { c.Intent = 1 })
	}, "which is not the open destroy-intent"},
	"a private half left":             {func(x *forger) { destruction(x).Held = []string{"private"} }, "it holds both, the public one, or none"},
	"an attempt less":                 {func(x *forger) { destruction(x).Attempts = destruction(x).Attempts[:2] }, "it has 2 attempts"},
	"an attempt by another call":      {func(x *forger) { destruction(x).Attempts[0].Call = token.CallSet }, `"destroy-private" by one of C_DestroyObject is wanted`},
	"an attempt that couldnt be made": {func(x *forger) { destruction(x).Attempts[2].Unstaged = true }, `"use-old-handle" by one of`},
	"a code that is none":             {func(x *forger) { destruction(x).Attempts[2].Code = "gone" }, "is no return code of a call"},
	"a search less":                   {func(x *forger) { destruction(x).Searches = destruction(x).Searches[:2] }, "it has 2 searches"},
	"another search":                  {func(x *forger) { destruction(x).Searches[0].By = "label" }, `by "cka-id" is wanted`},
	"fewer than none":                 {func(x *forger) { destruction(x).Searches[0].Found = -1 }, "found"},
	"a half that wasnt destroyed":     {func(x *forger) { destruction(x).Attempts[1].Code = "CKR_ACTION_PROHIBITED" }, "after a failed check (hsm-1 session: the token did not destroy the key"},
	"a handle that still works":       {func(x *forger) { destruction(x).Attempts[2].Code = "CKR_OK" }, "after a failed check (hsm-1 session: the token still uses the key"},
	"a key that is still found":       {func(x *forger) { destruction(x).Searches[1].Found = 1 }, "after a failed check (hsm-1 session: the token says that it destroyed the key"},
	"a key that is back": {func(x *forger) {
		c := x.get(ceremony.KindGone, 0).content.(*ceremony.Gone)
		c.Objects = []ceremony.Object{{Class: "private", ID: x.get(ceremony.KindTarget, 0).content.(*ceremony.Target).ID}}
	}, "after a failed check (hsm-1: a new process finds the object private"},
	"another object that is gone": {func(x *forger) {
		c := x.get(ceremony.KindInventory, 0).content.(*ceremony.Inventory)
		c.Objects = append(c.Objects, ceremony.Object{Class: "data", ID: []byte{}})
	}, "after a failed check (hsm-1: a new process does not find the object data"},
	"an object of no class": {func(x *forger) {
		x.get(ceremony.KindGone, 0).content.(*ceremony.Gone).Objects = []ceremony.Object{{Class: "thing", ID: []byte{}}}
	}, `an object of class "thing"`},
	"an abort that leaves the key out": {func(x *forger) {
		n := x.at(ceremony.KindDestruction, 0)
		x.insert(n, &ceremony.Abort{Reason: "people decided so", Keys: []ceremony.KeyState{}})
		x.cut(n + 1)
	}, "it says what became of 0 keys, and there are 1"},
	"a key that is generated": {func(x *forger) {
		n := x.at(ceremony.KindTarget, 0)
		x.insert(n, &ceremony.Outcome{Intent: 1, Result: ceremony.Destroyed, Reason: "so"})
	}, `wants a record "target" here`},
	"given up as a new key is": {func(x *forger) {
		n := x.at(ceremony.KindDestroyIntent, 0)
		x.insert(n, &ceremony.Outcome{Intent: n, Result: ceremony.Destroyed, Reason: "so"})
	}, `wants a record "destroy-intent" here`},
}

// inForceLater dates the whole ceremony before the retirement takes effect.
func inForceLater(x *forger) {
	early := x.fleet.Plan.Destroys.Effective.Add(-24 * time.Hour)
	for i, e := range x.entries {
		e.time = early.Add(time.Duration(i) * time.Second)
		switch c := e.content.(type) {
		case *ceremony.Open:
			day := early.UTC().Format("20060102")
			parts := strings.Split(c.Ceremony, ".")
			parts[len(parts)-2] = day
			c.Ceremony = strings.Join(parts, ".")
		case *ceremony.Reading:
			if c.What == ceremony.ReadClock {
				c.Value = e.time.UTC().Format(time.RFC3339)
			}
		}
	}
}

func TestHostileDestructionsAreRefused(t *testing.T) {
	f := destroying(t)
	for name, edit := range destructionForms {
		x := newForger(t, f)
		edit(x)
		if _, _, err := ceremony.Replay(f.Plan, "transcript.jsonl", x.write()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range destructionFaults {
		x := newForger(t, f)
		c.forge(x)
		if _, _, err := ceremony.Replay(f.Plan, "transcript.jsonl", x.write()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// destroyEdits are plans of a destruction, changed: pairs of what stands there and what
// takes its place.
func destroyEdits(p *ceremony.Plan) []planEdit {
	k := p.Destroys.Keys
	entry := func(k ceremony.DoomedKey) string {
		return fmt.Sprintf("    - hsm: %s\n      role: %s\n      cka_id: %x\n      public_key: %s", k.HSM, k.Role, k.ID, b64(k.PublicKey))
	}
	serial := func(i int) string { return fmt.Sprintf("serial: %q", p.HSMs[i].Serial) }
	return []planEdit{
		{"good-destroys-in-HSMs-of-one-serial", "", []string{serial(1), serial(0)}},
		{"destroys-at-epoch-1", "which is at least 2", []string{"epoch: 2", "epoch: 1", fmt.Sprintf("previous: %x", p.Previous), "previous: \"\""}},
		{"destroys-a-key-less", "key 1 is not that of hsm-1, role session", []string{entry(k[0]) + "\n", ""}},
		{"destroys-a-key-more", "destroys lists 5 keys, and the plan has 4", []string{entry(k[3]), entry(k[3]) + "\n" + entry(k[3])}},
		{"destroys-in-another-order", "key 1 is not that of hsm-1, role session", []string{entry(k[0]) + "\n" + entry(k[1]), entry(k[1]) + "\n" + entry(k[0])}},
		{"destroys-by-a-short-CKA_ID", "has a CKA_ID of 15 bytes, not 16", []string{fmt.Sprintf("cka_id: %x", k[0].ID), fmt.Sprintf("cka_id: %x", k[0].ID[1:])}},
		{"destroys-one-key-twice", "has the CKA_ID or the public key of one before it", []string{b64(k[2].PublicKey), b64(k[0].PublicKey)}},
		{"destroys-one-CKA_ID-twice", "has the CKA_ID or the public key of one before it", []string{fmt.Sprintf("cka_id: %x", k[1].ID), fmt.Sprintf("cka_id: %x", k[0].ID)}},
		{"destroys-a-key-of-another-kind", "key 1: its public key", []string{b64(k[0].PublicKey), b64(k[1].PublicKey)}},
		{"destroys-and-tolerates", "has neither attestation nor tolerates", []string{"    site: lab", "    tolerates: [relax-sensitive]\n    site: lab"}},
		{"destroys-no-artifact", "artifact is missing", []string{fmt.Sprintf("  artifact: %x\n", p.Destroys.Artifact), ""}},
		{"destroys-at-no-time", "effective", []string{"effective: " + p.Destroys.Effective.UTC().Format(time.RFC3339), "effective: soon"}},
	}
}

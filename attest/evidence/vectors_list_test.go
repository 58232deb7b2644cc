package evidence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// as is a witnessed fleet as a vector, a year later, under its policy with edits.
func (d *dated) as(edits ...string) made {
	text := string(d.Policy) + "  log.witnessed: proven\n  evidence.logged: proven\n"
	return made{archive: d.Archive, policy: []byte(strings.NewReplacer(edits...).Replace(text)), logged: d.proof, now: d.closed.AddDate(1, 0, 0)}
}

// plainly is a fleet's package with other files, under its own policy.
func plainly(t *testing.T, f *testfleet.Fleet, change func(evidence.Files)) made {
	t.Helper()
	files := with(f.Files, evidence.ManifestFile, nil)
	if change != nil {
		change(files)
	}
	return made{archive: must(sealed(files)), policy: f.Policy, now: f.Now()}
}

// resealed is a fleet's package with one kind of record changed, and everything
// made to fit that needs no key.
func resealed(f *testfleet.Fleet, kind ceremony.Kind, old, new string) made {
	done := false
	files := reseal(f.Files, func(r *ceremony.Record) {
		if r.Kind == kind && !done {
			done = strings.Contains(r.Body, old)
			r.Body = strings.Replace(r.Body, old, new, 1)
		}
	})
	if !done {
		panic("no record has " + old)
	}
	return made{archive: must(sealed(files)), policy: f.Policy, now: f.Now()}
}

var vectors = []vector{
	{"honest", "nothing: a package whose bundle and end two witnesses have seen", "", "", func(t *testing.T) made {
		return newDated(t, "vector honest", nil).as()
	}},
	{"honest-keys-ended-since", "nothing: officers' keys ended after they signed, and witnesses had seen it by then", "", "", func(t *testing.T) made {
		d := newDated(t, "vector ended since", exception)
		return d.as(both(window("olga", until("not_after", d.closed.Add(time.Hour))), window("omar", until("compromised_after", d.closed.Add(time.Hour))))...)
	}},
	{"exception-by-stolen-keys", "an exception a month after the bundle was logged, accepted with officers' keys that were stolen in between", `the act "exception" after record`, "", func(t *testing.T) made {
		d := newDated(t, "vector stolen keys", exception)
		stolen := until("compromised_after", d.logged.Add(time.Hour))
		return d.as(both(window("olga", stolen), window("omar", stolen))...)
	}},
	{"close-by-ended-keys", "the close signed off after officers' keys had ended", "signoffs.close: 0 of 2 officers agree; not counted", "", func(t *testing.T) made {
		d := newDated(t, "vector ended keys", nil)
		ended := until("not_after", d.logged.Add(time.Hour))
		return d.as(both(window("olga", ended), window("omar", ended))...)
	}},
	{"backdated-witnesses", "witnesses that say to have seen in 2020 what was made in 2026", "by when witnesses had seen it", "", func(t *testing.T) made {
		f := testfleet.New(t, testfleet.Options{Name: "vector backdated", Witnesses: 2, To: -1})
		f.Parties.Log.(*testfleet.Witnesses).At = func(int) time.Time { return f.Last().AddDate(-6, 0, 0) }
		return lived(t, f).as()
	}},
	{"end-logged-before-it-ended", "an end that witnesses say to have seen a month before it", "the time by which witnesses had seen that the ceremony had ended", "", func(t *testing.T) made {
		d := newDated(t, "vector early end", nil)
		d.witnesses.At = func(int) time.Time { return d.logged.Add(time.Hour) }
		d.log()
		m := d.as()
		m.now = d.Last().AddDate(1, 0, 0)
		return m
	}},
	{"judged-before-it-was-made", "the honest package, judged at a time before its records", "the time it is judged at", "", func(t *testing.T) made {
		d := newDated(t, "vector honest", nil)
		m := d.as()
		m.now = d.logged.AddDate(0, 0, -1)
		return m
	}},
	{"witness-key-stolen", "a witness's key is compromised, after it cosigned by its own word", "its key is compromised since", "", func(t *testing.T) made {
		d := newDated(t, "vector witness stolen", nil)
		return d.as("\nlog_policy:", "\nlog_windows:\n  - key: "+d.witnesses.VKeys()[0]+"\n    window: {"+until("compromised_after", d.closed.Add(time.Hour))+"}\nlog_policy:")
	}},
	{"window-of-the-year-1", "the third party's key compromised in the year 1, which some languages have for no time at all", "1 outside its key's window", "", func(t *testing.T) made {
		return newDated(t, "vector year 1", nil).as(window("auditor.example", "compromised_after: 0001-01-01T00:00:00Z")...)
	}},
	{"two-names-of-one-person", "the policy calls the plan's olga omar, and the other way", "one of them would have two voices", "", func(t *testing.T) made {
		a, b := "- name: olga\n", "- name: omar\n"
		return newDated(t, "vector two names", nil).as(a, b, b, a)
	}},
	{"verdict-left-out", "the auditor's verdict on the close is left out, whatever it was", "no auditor has signed", "", func(t *testing.T) made {
		return plainly(t, testfleet.New(t, testfleet.Options{Name: "vector left out"}), func(x evidence.Files) {
			delete(x, "signoffs/close/ada")
			delete(x, "signoffs/close/ada.sig")
		})
	}},
	{"signature-of-nothing", "a text without a signature among the sign-offs, under a policy that pins nobody", "has no signature beside it", "", func(t *testing.T) made {
		m := plainly(t, testfleet.New(t, testfleet.Options{Name: "vector nothing"}), func(x evidence.Files) { x["signoffs/close/evil"] = []byte("#!/bin/sh\n") })
		m.policy = nobodyPinned(m.policy)
		return m
	}},
	{"approved-afterwards", "an officer who was not there signs plan, acts and release once the bundle is logged, and is one of the two whom the policy pins", "the request's record does not list it", "", func(t *testing.T) made {
		f, policy := signedAfterwards(t, absentOfficer{plan: true, acts: true, release: true}, "vector afterwards")
		return made{archive: f.Archive, policy: policy, now: f.Now()}
	}},
	{"keys-of-the-epoch-before", "epoch 2, whose ceremony records the keys of epoch 1 as generated in it; whoever has them had them answer its nonces", "is one of epoch 1: it was not generated in this ceremony", "", func(t *testing.T) made {
		_, two, _ := oldKeys(t, "vector old keys")
		return made{archive: two.Archive, policy: two.Policy, now: two.Now()}
	}},
	{"attributes-of-another-key", "attributes in which the public half has another point than the key that was generated", "that was read back is not the key that was generated", "", func(t *testing.T) made {
		return resealed(testfleet.New(t, testfleet.Options{Name: "vector another point"}), ceremony.KindAttributes,
			`"public":[`, `"public":[{"name":"EC_POINT","value":"0420`+strings.Repeat("07", 32)+`"},`)
	}},
	{"two-trees-of-one-log", "the bundle in one tree of the log, the end in another of the same size", "signed two trees of", "", func(t *testing.T) made {
		f, other := forkedLog(t, "vector forked")
		m := plainly(t, f, nil)
		m.logged = must(other.Append(must(evidence.PackageLeaf("e", f.Archive)).Marshal()))
		return m
	}},
	{"stranger-in-an-abort", "a text that nobody signed among the release sign-offs of an aborted ceremony", "has no signature beside it", evidence.TypeAbort, func(t *testing.T) made {
		f, _ := released(t, "vector abort")
		files, _, err := closing.PackFolder(f.Dir, false)
		if err != nil {
			t.Fatal(err)
		}
		files["signoffs/release/evil"] = []byte("x\n")
		return made{archive: must(sealed(files)), policy: f.Policy, now: f.Now()}
	}},
	{"unstaged-copy", "a copy that the token is said to have no means for, where section 9 wants it refused", "copy-extractable", "", func(t *testing.T) made {
		return resealed(testfleet.New(t, testfleet.Options{Name: "vector unstaged"}), ceremony.KindNegativeTest,
			`"name":"copy-extractable","call":"C_CopyObject","code":"CKR_ACTION_PROHIBITED"`,
			`"name":"copy-extractable","call":"C_CopyObject","code":"CKR_FUNCTION_NOT_SUPPORTED","unstaged":true`)
	}},
}

// nobodyPinned is the policy without its people and what rests on them.
func nobodyPinned(policy []byte) []byte {
	before, rest, _ := strings.Cut(string(policy), "# At least so many officers")
	_, after, _ := strings.Cut(rest, "third_parties_needed:")
	var kept []string
	for line := range strings.Lines("third_parties_needed:" + after) {
		if c := strings.TrimSpace(line); strings.HasPrefix(c, "plan.approved") || strings.HasPrefix(c, "signoffs.") || strings.HasPrefix(c, "abort.signed") ||
			strings.HasPrefix(c, "evidence.bound") || strings.HasPrefix(c, "fleet.checked") {
			continue
		}
		kept = append(kept, line)
	}
	return []byte(before + strings.Join(kept, ""))
}

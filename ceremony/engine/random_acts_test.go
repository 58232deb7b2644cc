package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// journalAct is an act of the ceremony after its run: the one that is due, or any.
func (d *driver) journalAct(a *ceremony.Account, s ceremony.Step) (string, func(*engine.Journal) error) {
	due := map[ceremony.Act]string{
		ceremony.ActRelease: "build", ceremony.ActRequest: "request", ceremony.ActResponse: "answer", ceremony.ActCountersign: "countersign",
		ceremony.ActLog: "log", ceremony.ActLockdown: "lock down", ceremony.ActClose: "close",
	}[s.Act]
	acts := d.acts()
	var names []string
	for name := range acts {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[d.IntN(len(names))]
	switch {
	case d.one(3):
	case a.Adjourned:
		name = "reconvene"
	case d.one(3):
		name = "sign"
	case due != "":
		name = due
	}
	return name, acts[name]
}

func (d *driver) acts() map[string]func(*engine.Journal) error {
	ctx := context.Background()
	return map[string]func(*engine.Journal) error{
		"append":    d.append,
		"build":     func(j *engine.Journal) error { _, err := j.Build(ctx, participants{d}); return err },
		"request":   func(j *engine.Journal) error { _, err := j.Request(ctx, nil, nil, d.approve); return err },
		"answer":    d.answer,
		"sign":      d.sign,
		"close":     d.close,
		"log":       d.log,
		"lock down": d.lockDown,
		"countersign": func(j *engine.Journal) error {
			by := d.f.Parties.Operator
			if d.one(6) {
				by = d.f.Parties.ThirdParty
			}
			return j.Countersign(ctx, d.approve, by.Public, func(text []byte) ([]byte, error) {
				sig, err := by.Sign(text)
				if d.one(6) && err == nil {
					sig[d.IntN(len(sig))] ^= 1
				}
				return sig, err
			})
		},
		"adjourn": func(j *engine.Journal) error { return j.Adjourn(&ceremony.Adjourn{Reason: d.text(), Seals: d.seals()}) },
		"reconvene": func(j *engine.Journal) error {
			return j.Reconvene(ctx, &ceremony.Reconvene{Seals: d.seals()}, d.approve)
		},
		"except": func(j *engine.Journal) error {
			x := &ceremony.Exception{Expected: d.text(), Happened: "y", Decided: "z"}
			if d.one(3) {
				x.Absent = []string{d.of("wanda", "ada", "olga", "nobody")}
			}
			for _, o := range j.Account().Unexcused() {
				x.Attestations = append(x.Attestations, o.N)
			}
			if d.one(6) {
				x.Attestations = append(x.Attestations, d.IntN(60))
			}
			if d.one(4) {
				x.Number = len(j.Account().Exceptions) + 1
				_, err := j.Append(x)
				return err
			}
			return d.f.Except(j, x)
		},
	}
}

func (d *driver) answer(j *engine.Journal) error {
	data, err := os.ReadFile(filepath.Join(d.f.Dir, "private/request.json"))
	if err != nil {
		return err
	}
	_, err = bundle.ParseRequest("request", data)
	if err != nil {
		return err
	}
	list := d.f.Parties.Auditors()
	who := list[d.IntN(len(list))]
	s, err := bundle.NewStatement(1, d.f.Plan.Namespace, uint64(d.clock().UnixMilli()), d.f.Plan.Epoch, j.Account().Release.Artifact)
	if err != nil {
		return err
	}
	switch d.IntN(8) {
	case 0:
		s.Epoch++
	case 1:
		s.Timestamp += 1 << 30
	case 2:
		s.Digest[0]++
	}
	key := who.Key()
	if d.one(8) {
		key = d.f.Parties.Auditor(testfleet.FirstAuditor).Key()
	}
	sig, err := who.Sign(s.Message())
	if err != nil {
		return err
	}
	sealed, err := s.Seal(who.Key(), sig)
	if err != nil {
		return err
	}
	r, err := bundle.NewResponse(bundle.Signed{Key: key, Statement: sealed})
	if err == nil {
		_, err = j.ImportResponse(r)
	}
	return err
}

// sign has somebody sign what is there to be signed.
func (d *driver) sign(j *engine.Journal) error {
	a := j.Account()
	name := d.of("olga", "omar", "ozan", "wanda", "ada")
	if d.one(2) {
		stage := d.of(ceremony.StageRelease, ceremony.StageRelease, ceremony.StageClose)
		verdict := ceremony.Agree
		if d.one(30) {
			verdict = ceremony.DoNotAgree
		}
		var all error
		for _, who := range append([]string{name}, testfleet.Signers...) {
			all = errors.Join(all, d.f.SignOff(d.f.Dir, a, stage, verdict, who))
		}
		return all
	}
	people, err := a.People()
	if err != nil {
		return err
	}
	for n := range a.Exceptions {
		want, err := a.ExceptionApproval(n + 1)
		if err != nil {
			return err
		}
		if err := d.f.Approve(d.t.Context(), d.f.Dir, people, want, nil); err != nil {
			return err
		}
	}
	if act := a.DueAct(); act == ceremony.ApproveResume || act == ceremony.ApproveReconvene {
		return d.f.Approve(d.t.Context(), d.f.Dir, people, a.Wanted(act, [32]byte{}), nil)
	}
	return nil
}

func (d *driver) close(j *engine.Journal) error {
	files := []ceremony.File{{Path: ceremony.PlanFile}, {Path: ceremony.BundleFile}}
	if d.one(4) {
		files = []ceremony.File{{Path: d.text()}}
	}
	_, err := j.Finish(files, func(*ceremony.Record) error {
		if d.one(4) {
			return errors.New("it would make no evidence")
		}
		return nil
	})
	return err
}

func (d *driver) log(j *engine.Journal) error {
	b, err := j.Assemble(d.t.Context(), participants{d})
	if err != nil {
		return err
	}
	proof, err := d.f.Parties.Log.Append(b.Raw())
	if err != nil {
		return err
	}
	if d.one(6) {
		proof = proof[:d.IntN(len(proof))]
	}
	_, err = j.ImportProof("proof", proof)
	return err
}

func (d *driver) lockDown(j *engine.Journal) error {
	by, confirmed := d.of("machine", "machine", "witness", "olga"), d.of("machine", "machine", "auditor", "")
	if _, _, hsm, ok := j.Account().NextLockdown(); ok && hsm != "" {
		tok := d.f.Tokens[0]
		tok.Before = func(call string) error {
			if call == "Login" && d.one(2) {
				return testfleet.Coded(d.of("CKR_PIN_LOCKED", "CKR_PIN_INCORRECT", "CKR_DEVICE_ERROR"))
			}
			return nil
		}
		defer func() { tok.Before = nil }()
		if d.one(8) {
			_, err := j.LoginNotShown(d.text(), by, confirmed)
			return err
		}
		_, err := j.LoginRefused(d.t.Context(), d.f.Bench, d.f.Site.HSM(hsm), func() error { return nil }, by, confirmed)
		return err
	}
	_, err := j.Lockdown(d.text(), by, confirmed)
	return err
}

// append writes records of any kind, mostly with something in them that is wrong.
func (d *driver) append(j *engine.Journal) (err error) {
	for range 8 {
		err = d.appendOne(j)
	}
	return err
}

func (d *driver) appendOne(j *engine.Journal) error {
	from := d.sample[d.IntN(len(d.sample))]
	if d.one(3) {
		from = []any{
			&ceremony.Exception{Number: len(j.Account().Exceptions) + 1, Expected: "x", Happened: "y", Decided: "z"},
			&ceremony.Resume{Since: j.Account().Time},
			&ceremony.Unlock{HSM: "hsm-1", Method: "terminal", Result: "CKR_PIN_INCORRECT"},
			&ceremony.Adjourn{Reason: "x", Seals: []ceremony.Seal{{What: "safe", Number: "1"}}},
		}[d.IntN(4)]
	}
	content := reflect.New(reflect.TypeOf(from).Elem())
	content.Elem().Set(reflect.ValueOf(from).Elem())
	if k, ok := content.Interface().(*ceremony.Open); ok {
		k.Words = slices.Clone(k.Words)
	}
	for range d.IntN(3) {
		d.change(content.Elem())
	}
	_, err := j.Append(content.Interface())
	return err
}

// change sets one field somewhere in a value to something that may be wrong. Slices
// are copied first: the sample's stay.
func (d *driver) change(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = x.Add(time.Duration(d.IntN(3)-1) * 1234567 * time.Microsecond)
		return
	case *[32]byte:
		x[d.IntN(32)]++
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(d.of("", " ", "a b", "two\nlines", "\xff", "\u202e", "CKR_OK", "0x1", strings.Repeat("x", 5000), "hsm-1", "machine"))
	case reflect.Int:
		v.SetInt([]int64{-1, 0, 1, 2, 1 << 40}[d.IntN(5)])
	case reflect.Uint64:
		v.SetUint([]uint64{0, 1, 1 << 63}[d.IntN(3)])
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		d.changeSlice(v)
	case reflect.Pointer:
		if v.IsNil() || d.one(3) {
			v.Set(reflect.New(v.Type().Elem()))
		} else {
			d.change(v.Elem())
		}
	case reflect.Struct:
		d.change(v.Field(d.IntN(v.NumField())))
	}
}

func (d *driver) changeSlice(v reflect.Value) {
	list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(list, v)
	switch n := d.IntN(4); {
	case n == 0:
		list = reflect.Zero(v.Type())
	case n == 1:
		list = reflect.MakeSlice(v.Type(), 0, 0)
	case n == 2 && v.Len() > 0:
		list = reflect.Append(list, list.Index(d.IntN(v.Len())))
	case v.Len() > 0 && v.Type().Elem().Kind() != reflect.Uint8:
		d.change(list.Index(d.IntN(v.Len())))
	}
	v.Set(list)
}

package evidence_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// recordLies change each field of the first record of each kind, and of each thing
// that a kind can be about.
func (b *base) recordLies() (list []lie) {
	seen := map[string]bool{}
	for _, r := range b.records {
		name := string(r.Kind)
		switch c := r.Content.(type) {
		case *ceremony.Reading:
			name += "(" + c.What + ")"
		case *ceremony.Challenge:
			name += "(" + c.What + ")"
		case *ceremony.Response:
			if seen[name] {
				name += "(late)"
			}
		case *ceremony.Exception:
			if c.Clock != nil {
				name += "(clock)"
			}
		}
		if seen[name] || r.Content == nil {
			continue
		}
		seen[name] = true
		list = append(list, b.envelope(name, r)...)
		walk(reflect.TypeOf(r.Content).Elem(), reflect.ValueOf(r.Content).Elem(), name, func(v reflect.Value) reflect.Value { return v }, func(field, how string, set func(reflect.Value)) {
			list = append(list, lie{field: field, how: how, record: r.N, edit: func(_ *forgery, x *ceremony.Record) {
				set(reflect.ValueOf(x.Content).Elem())
			}})
		})
		if c, ok := r.Content.(*ceremony.Outcome); ok && c.PublicKey != nil {
			list = append(list, lie{field: name + ".public_key", how: "the attacker's own key", record: r.N, edit: func(_ *forgery, x *ceremony.Record) {
				x.Content.(*ceremony.Outcome).PublicKey = b.stranger.Public.SPKI()
			}})
		}
	}
	return append(list, b.statementLies()...)
}

// statementLies change what the first third party signed.
func (b *base) statementLies() (list []lie) {
	i := slices.IndexFunc(b.records, func(r *ceremony.Record) bool { return r.Kind == ceremony.KindResponse })
	if i < 0 {
		return nil
	}
	for _, x := range []struct {
		field, how string
		change     func(*bundle.Statement)
	}{
		{"timestamp", "a second later", func(s *bundle.Statement) { s.Timestamp += 1000 }},
		{"timestamp", "a second earlier", func(s *bundle.Statement) { s.Timestamp -= 1000 }},
		{"timestamp", "a year later", func(s *bundle.Statement) { s.Timestamp += 365 * 86400 * 1000 }},
		{"namespace", "another", func(s *bundle.Statement) { s.Namespace += "x" }},
		{"epoch", "1 more", func(s *bundle.Statement) { s.Epoch++ }},
		{"digest", "another", func(s *bundle.Statement) { s.Digest[0] ^= 1 }},
		{"signature", "another's", nil},
	} {
		list = append(list, lie{field: "response.statement." + x.field, how: x.how, record: i + 1, edit: func(g *forgery, r *ceremony.Record) {
			c, ok := r.Content.(*ceremony.Response)
			s, err := bundle.ParseStatement("", c.Statement)
			if !ok || err != nil {
				return
			}
			if said := *s; x.change != nil {
				x.change(&said)
				c.Statement = g.state(c.Key, g.fleet.Parties.Auditor(testfleet.FirstAuditor), said.Timestamp, said.Namespace, said.Epoch, said.Digest)
			}
			if x.change == nil || c.Statement == nil {
				said := *s
				if x.change == nil {
					said.Signature = [64]byte(must(g.stranger.Sign(s.Message())))
				} else {
					x.change(&said)
				}
				c.Statement = said.Encode(said.Signature)
			}
		}})
	}
	return list
}

// envelope changes what a record has beside its content.
func (b *base) envelope(name string, r *ceremony.Record) []lie {
	edit := func(what, how string, e func(*forgery, *ceremony.Record)) lie {
		return lie{field: name + " " + what, how: how, record: r.N, edit: e}
	}
	list := []lie{
		edit("time", "a second later", func(_ *forgery, x *ceremony.Record) { x.Time = x.Time.Add(time.Second) }),
		edit("time", "a second earlier", func(_ *forgery, x *ceremony.Record) { x.Time = x.Time.Add(-time.Second) }),
		edit("salt", "another", func(_ *forgery, x *ceremony.Record) { x.Salt = bytes.Repeat([]byte{7}, 32) }),
		edit("body", "withheld", func(_ *forgery, x *ceremony.Record) { x.Content, x.Salt, x.Body = nil, nil, "" }),
	}
	return list
}

// walk goes through every field of a record's content, and of the first item of
// each list in it. at finds the value in another content of that type.
func walk(t reflect.Type, v reflect.Value, name string, at func(reflect.Value) reflect.Value, yield func(field, how string, set func(reflect.Value))) {
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("strict"), ",")
		here := func(root reflect.Value) reflect.Value { return at(root).Field(i) }
		value(t.Field(i).Type, v.Field(i), name+"."+tag, here, yield)
	}
}

func value(t reflect.Type, v reflect.Value, name string, at func(reflect.Value) reflect.Value, yield func(field, how string, set func(reflect.Value))) {
	to := func(how string, x any) {
		yield(name, how, func(root reflect.Value) { at(root).Set(reflect.ValueOf(x).Convert(t)) })
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		to("an hour later", v.Interface().(time.Time).Add(time.Hour))
	case t == reflect.TypeFor[[32]byte]():
		x := v.Interface().([32]byte)
		x[31] ^= 1
		to("another digest", x)
	case t.Kind() == reflect.Struct:
		walk(t, v, name, at, yield)
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			yield(name, "one that wasn't there", func(root reflect.Value) { at(root).Set(reflect.New(t.Elem())) })
			return
		}
		yield(name, "left out", func(root reflect.Value) { at(root).SetZero() })
		walk(t.Elem(), v.Elem(), name, func(root reflect.Value) reflect.Value { return at(root).Elem() }, yield)
	case t == reflect.TypeFor[[]byte]():
		x := bytes.Clone(v.Bytes())
		if len(x) == 0 {
			x = []byte{0}
		}
		x[len(x)-1] ^= 1
		to("its last bit", x)
	case t.Kind() == reflect.Slice:
		items(t, v, name, at, yield)
	case t.Kind() == reflect.Bool:
		to(fmt.Sprint(!v.Bool()), !v.Bool())
	case t.Kind() == reflect.Int:
		to("1 more", v.Int()+1)
	case t.Kind() == reflect.Uint64:
		to("1 more", v.Uint()+1)
	case t.Kind() == reflect.String:
		for _, x := range otherWords(name, v.String()) {
			to(fmt.Sprintf("%q", x), x)
		}
	default:
		panic(name + " is of a type that no lie is known for")
	}
}

func items(t reflect.Type, v reflect.Value, name string, at func(reflect.Value) reflect.Value, yield func(field, how string, set func(reflect.Value))) {
	if v.Len() == 0 {
		yield(name, "one that wasn't there", func(root reflect.Value) {
			x := reflect.New(t.Elem()).Elem()
			if x.Kind() == reflect.String {
				x.SetString("x")
			}
			at(root).Set(reflect.Append(at(root), x))
		})
		return
	}
	// The attacker's own list may be shorter, where others don't sign for them.
	list := func(root reflect.Value) reflect.Value {
		l := at(root)
		if l.Len() == 0 {
			l.Set(reflect.Append(l, reflect.New(t.Elem()).Elem()))
		}
		return l
	}
	yield(name, "the last left out", func(root reflect.Value) { at(root).Set(list(root).Slice(0, list(root).Len()-1)) })
	yield(name, "the last twice", func(root reflect.Value) {
		at(root).Set(reflect.Append(list(root), list(root).Index(list(root).Len()-1)))
	})
	first := func(root reflect.Value) reflect.Value { return list(root).Index(0) }
	if t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[time.Time]() {
		walk(t.Elem(), v.Index(0), name+"[0]", first, yield)
		return
	}
	value(t.Elem(), v.Index(0), name+"[0]", first, yield)
}

// words are what can stand in the fields of a closed list of words.
var words = map[string][]string{
	"open.mode":                              {"production"},
	"open.chosen_by":                         {"witness"},
	"open.words[0]":                          {"absurd"},
	"reading(clock).what":                    {"seal"},
	"reading(clock).by":                      {"witness"},
	"reading(clock).confirmed":               {"auditor"},
	"reading(seal).what":                     {"clock"},
	"reading(seal).by":                       {"witness"},
	"reading(seal).confirmed":                {"auditor"},
	"intake.hardware":                        {"9.9"},
	"intake.firmware":                        {"9.9"},
	"intake.library":                         {"another library 1.0"},
	"intent.algorithm":                       {"ecdsa-p256"},
	"intent.role":                            {"backup"},
	"outcome.result":                         {"failed", "destroyed"},
	"outcome.mechanism":                      {"CKM_EC_KEY_PAIR_GEN"},
	"negative-test.attempts[0].code":         {"CKR_OK", "CKR_KEY_UNEXTRACTABLE"},
	"negative-test.attempts[0].name":         {"wrap"},
	"negative-test.attempts[0].call":         {"C_WrapKey"},
	"lockdown.by":                            {"auditor"},
	"lockdown.confirmed":                     {"witness"},
	"countersignature.form":                  {"signature"},
	"attestation.level":                      {"anchored"},
	"attestation.by":                         {"imported"},
	"abort.keys[0].state":                    {"absent", "not destroyed: it would not go"},
	"fleet-check.rows[0].results[0]":         {"fail"},
	"attributes.private[0].value":            {"0000000000000002"},
	"attributes.private[0].code":             {"CKR_ATTRIBUTE_SENSITIVE"},
	"negative-test.relaxed.attempts[0].code": {"CKR_OK"},
}

func init() {
	for _, what := range []string{"plan", "key", "fleet", "key-set", "bundle"} {
		words["challenge("+what+").by"] = []string{"witness"}
		words["challenge("+what+").what"] = []string{map[bool]string{true: "fleet", false: "plan"}[what == "plan"]}
	}
}

// otherWords are as alike as a liar could want.
func otherWords(field, old string) []string {
	if list, ok := words[field]; ok {
		return list
	}
	return []string{old + "x"}
}

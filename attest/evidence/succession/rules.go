package succession

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// rule says how two values of a member are compared, and which way a difference goes.
// Without a rule a mapping is compared member by member, and all else can't be judged.
type rule struct {
	// weigh compares two values as a whole; one of them may be nil.
	weigh func(a, b *strict.Node) string
	// identity is what an element of a list is known by, label what it is called; more
	// and less say what it means that an element came, or went.
	identity, label func(*strict.Node) string
	more, less      func(a, b *strict.Node) string
}

// withoutBrackets leaves out which elements of lists a path goes through.
func withoutBrackets(path string) string {
	var b strings.Builder
	for {
		before, rest, opens := strings.Cut(path, "[")
		_, after, closes := strings.Cut(rest, "]")
		if !opens || !closes {
			return b.String() + path
		}
		b.WriteString(before)
		path = after
	}
}

// ruleOf finds a member's rule: by its path, else by its name.
func ruleOf(path string) rule {
	path, rules := withoutBrackets(path), rules()
	if r, ok := rules[path]; ok {
		return r
	}
	if claim, ok := strings.CutPrefix(path, "claims."); ok && slices.Contains(evidence.ClaimNames(), claim) {
		return rule{weigh: ordered("device", "attested", "proven")}
	}
	if name := path[strings.LastIndexByte(path, '.')+1:]; name == "window" || name == "confirmed" {
		return rules[name]
	}
	return rule{}
}

// rules are the rules of a policy's members, by path or name.
func rules() map[string]rule {
	// who adds someone whose word counts.
	who := func(fields ...string) rule {
		called := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return f == "key" })
		return rule{identity: named(fields...), label: named(called...), more: always(Looser), less: always(Stricter)}
	}
	// only is a list of which one has to hold: without any everything does.
	only := rule{identity: itself, label: brief, more: unlessNew(Looser, Stricter), less: unlessGone(Stricter, Looser)}
	// taken is a list of what is taken all the same.
	taken := rule{identity: itself, label: brief, more: always(Looser), less: always(Stricter)}

	return map[string]rule{
		"namespaces":                taken,
		"threshold":                 {weigh: unlessAbsent(number)},
		"people":                    who("role", "name", "key"),
		"third_parties":             who("name", "key"),
		"third_parties_needed":      {weigh: number},
		"operators":                 who("name", "key", "form"),
		"require_all":               {identity: itself, label: brief, more: always(Stricter), less: always(Looser)},
		"additional_keys":           who("name", "key"),
		"log_policy":                {identity: itself, label: brief, more: always(Other), less: always(Other)},
		"log_confirmed":             {weigh: confirmed},
		"log_windows":               {identity: named("key"), label: keyName, more: always(Stricter), less: always(Looser)},
		"witness_orgs":              {identity: itself, label: brief, more: always(Other), less: always(Other)},
		"rekor.logs":                who("name", "version", "origin", "key"),
		"rekor.submitters":          who("name", "key"),
		"allows":                    taken,
		"tolerates":                 taken,
		"attestation.least":         {weigh: ordered("module-claimed", "vendor-signed", "anchored", "fresh")},
		"attestation.countersigner": {weigh: ordered("module-claimed", "vendor-signed", "anchored", "fresh")},
		"attestation.vendors":       only,
		"attestation.models":        only,
		"attestation.fips_boot":     {weigh: flag},
		"attestation.fips_level":    {weigh: number},
		"attestation.sign_only":     {weigh: flag},
		"attestation.understood":    {weigh: flag},
		"attestation.tolerates":     taken,
		"attestation.anchors":       who("name"),
		"sites.least":               {weigh: number},
		"sites.no_site_majority":    {weigh: flag},
		"sites.no_vendor_majority":  {weigh: flag},
		"succession.threshold":      {weigh: unlessAbsent(number)},
		"succession.keys":           who("name", "key"),
		"window":                    {weigh: window},
		"confirmed":                 {weigh: confirmed},
	}
}

func always(effect string) func(a, b *strict.Node) string {
	return func(_, _ *strict.Node) string { return effect }
}

// unlessNew is effect, or other where there was no list before.
func unlessNew(effect, other string) func(a, b *strict.Node) string {
	return func(a, _ *strict.Node) string {
		if a == nil {
			return other
		}
		return effect
	}
}

func unlessGone(effect, other string) func(a, b *strict.Node) string {
	return func(_, b *strict.Node) string {
		if b == nil {
			return other
		}
		return effect
	}
}

func itself(n *strict.Node) string { return whole(n) }

func named(fields ...string) func(*strict.Node) string {
	return func(n *strict.Node) string {
		var parts []string
		for _, f := range fields {
			v := n.Get(f)
			switch {
			case v == nil:
			case f == "key" && len(strings.Fields(v.Text)) > 2: // an OpenSSH key's comment
				parts = append(parts, strings.Join(strings.Fields(v.Text)[:2], " "))
			default:
				parts = append(parts, whole(v))
			}
		}
		return strings.Join(parts, " ")
	}
}

// keyName is a vkey's name and key ID. They say which key it is among a policy's; the key
// itself stands in what the change tells, and made a path of more than a line.
func keyName(n *strict.Node) string {
	key := named("key")(n)
	if parts := strings.SplitN(key, "+", 3); len(parts) == 3 {
		return parts[0] + "+" + parts[1]
	}
	return key
}

// ordered are values of which a later one demands more; without one nothing is demanded.
func ordered(values ...string) func(a, b *strict.Node) string {
	at := func(n *strict.Node) int {
		if n == nil {
			return -1
		}
		return slices.Index(values, n.Text)
	}
	return func(a, b *strict.Node) string { return direction(at(a) < at(b)) }
}

func number(a, b *strict.Node) string {
	at := func(n *strict.Node) (x uint64) {
		if n != nil {
			x, _ = strconv.ParseUint(n.Text, 10, 64)
		}
		return x
	}
	return direction(at(a) < at(b))
}

// unlessAbsent can't judge a number that goes with a list: the list says which way it is.
func unlessAbsent(weigh func(a, b *strict.Node) string) func(a, b *strict.Node) string {
	return func(a, b *strict.Node) string {
		if a == nil || b == nil {
			return Other
		}
		return weigh(a, b)
	}
}

func flag(a, _ *strict.Node) string { return direction(a == nil || a.Text != "true") }

func direction(stricter bool) string {
	if stricter {
		return Stricter
	}
	return Looser
}

// confirmed says that a key was compared with its owner: until then nothing passes.
func confirmed(a, b *strict.Node) string {
	blank := func(n *strict.Node) bool { return n == nil || strings.TrimSpace(n.Text) == "" }
	switch {
	case blank(a) && !blank(b):
		return Looser
	case !blank(a) && blank(b):
		return Stricter
	}
	return Other
}

// window compares two windows: what lies inside one of them and not in the other.
func window(a, b *strict.Node) string {
	more, less := false, false
	for _, end := range []string{"not_before", "not_after", "compromised_after"} {
		x, y := get(a, end), get(b, end)
		switch {
		case same(x, y):
		case x == nil:
			less = true
		case y == nil:
			more = true
		default:
			s, errS := time.Parse(time.RFC3339, x.Text)
			t, errT := time.Parse(time.RFC3339, y.Text)
			if errS != nil || errT != nil {
				return Other
			}
			if (end == "not_before") == t.Before(s) {
				more = true
			} else {
				less = true
			}
		}
	}
	switch {
	case more && less:
		return Other
	case more:
		return Looser
	}
	return Stricter
}

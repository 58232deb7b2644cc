package token

import (
	"cmp"
	"strings"
)

// Order is the order in which tokens are listed: that of their labels as people
// count them, and of their serials where labels are the same. Tokens that have no
// label yet come last.
func Order(x, y Info) int {
	switch {
	case (x.Label == "") != (y.Label == ""):
		return cmp.Compare(len(y.Label), len(x.Label))
	case x.Label != y.Label:
		return naturally(x.Label, y.Label)
	}
	return naturally(x.Serial, y.Serial)
}

// naturally compares labels as people count them: fleet-2 before fleet-10.
// Labels that differ only in leading zeros have the order of their bytes.
func naturally(x, y string) int {
	run := func(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
	a, b := x, y
	for a != "" && b != "" {
		n, m := run(a), run(b)
		if n == 0 || m == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		v, w := strings.TrimLeft(a[:n], "0"), strings.TrimLeft(b[:m], "0")
		if c := cmp.Or(cmp.Compare(len(v), len(w)), strings.Compare(v, w)); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(x, y))
}

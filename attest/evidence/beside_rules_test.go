package evidence

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
)

// TestWhatContradictsWhat holds pairs against each other that no honest party
// signs, and so no test makes whole.
func TestWhatContradictsWhat(t *testing.T) {
	of := func(epoch uint64, ceremony string, digest, previous byte) bundle.About {
		p := [32]byte{previous}
		return bundle.About{Fleet: "f", Namespace: "n", Epoch: epoch, Ceremony: ceremony, Digest: [32]byte{digest}, Previous: p[:]}
	}
	keys := func(about bundle.About) *Told { return &Told{File: "x", About: about} }
	closed := func(about bundle.About, head byte) *Told {
		return &Told{File: "x", About: about, Ending: EndingClosed, Head: [32]byte{head}}
	}
	aborted := func(ceremony string, head byte) *Told {
		return &Told{File: "x", About: bundle.About{Fleet: "f", Namespace: "n", Epoch: 1, Ceremony: ceremony}, Ending: EndingAborted, Head: [32]byte{head}}
	}
	end := &Told{File: "end", About: of(2, "", 2, 1), Notice: &bundle.Notice{}}
	end.About.Retires = true
	tree := func(about bundle.About, size uint64, root byte) *Told {
		return &Told{File: "x", About: about, trees: []*auditlog.Checkpoint{{Origin: "log", Size: size, Root: [32]byte{root}}}}
	}
	abroad := of(1, "c1", 9, 0)
	abroad.Namespace = "m"
	for name, c := range map[string]struct {
		a, b *Told
		want string
	}{
		"an epoch and the next":              {keys(of(1, "c1", 1, 0)), keys(of(2, "c2", 2, 1)), ""},
		"an epoch and one further on":        {keys(of(1, "c1", 1, 0)), keys(of(3, "c3", 3, 2)), ""},
		"the same twice":                     {closed(of(1, "c1", 1, 0), 1), closed(of(1, "c1", 1, 0), 1), ""},
		"a bundle and its package":           {keys(of(1, "c1", 1, 0)), closed(of(1, "c1", 1, 0), 1), ""},
		"another before it":                  {keys(of(1, "c1", 1, 0)), keys(of(2, "c2", 2, 9)), "names another artifact of epoch 1"},
		"two artifacts of an epoch":          {keys(of(1, "c1", 1, 0)), keys(of(1, "c2", 2, 0)), "one epoch, two artifacts"},
		"two artifacts of a ceremony":        {keys(of(1, "c1", 1, 0)), keys(of(2, "c1", 2, 1)), "one ceremony, two artifacts"},
		"in two namespaces":                  {keys(of(1, "c1", 1, 0)), keys(abroad), "one ceremony, two artifacts"},
		"two closes":                         {closed(of(1, "c1", 1, 0), 1), closed(of(1, "c1", 1, 0), 2), "a ceremony ends once"},
		"closed and aborted":                 {closed(of(1, "c1", 1, 0), 1), aborted("c1", 2), "a ceremony ends once"},
		"two aborts of one":                  {aborted("c1", 1), aborted("c1", 2), "a ceremony ends once"},
		"two aborts":                         {aborted("c1", 1), aborted("c2", 2), ""},
		"released and aborted":               {keys(of(1, "c1", 1, 0)), aborted("c1", 1), "one says that it was aborted"},
		"aborted, and another was released":  {keys(of(1, "c1", 1, 0)), aborted("c0", 1), ""},
		"after its fleet's end":              {end, keys(of(4, "c4", 4, 3)), "nothing of it may follow"},
		"before its fleet's end":             {keys(of(1, "c1", 1, 0)), end, ""},
		"instead of its fleet's end":         {end, keys(of(2, "c2", 3, 1)), "one epoch, two artifacts"},
		"one tree in both proofs":            {tree(of(1, "c1", 1, 0), 5, 1), tree(of(2, "c2", 2, 1), 5, 1), ""},
		"a tree and a larger one":            {tree(of(1, "c1", 1, 0), 5, 1), tree(of(2, "c2", 2, 1), 6, 2), ""},
		"two trees of one size":              {tree(of(1, "c1", 1, 0), 5, 1), tree(of(2, "c2", 2, 1), 5, 2), "the log equivocates"},
		"a notice, whose ceremony is nobody": {end, &Told{File: "end2", About: of(5, "", 5, 4), Notice: &bundle.Notice{}}, "nothing of it may follow"},
	} {
		got := ""
		if x := Contradict(c.a, c.b); x != nil {
			got = x.What
		}
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

package viewer_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
)

// tampered is a package in which one file is another, under a MANIFEST that fits.
func tampered(t *testing.T, q question, how string, files evidence.Files) question {
	t.Helper()
	delete(files, evidence.ManifestFile)
	files[evidence.ManifestFile] = files.Manifest()
	q.Name, q.Data = how, must(evidence.Pack(files))
	return q
}

// changes are a package's files, each changed, cut off, left out, or another's; of is how
// many of them one is taken of.
func changes(t *testing.T, r *rand.Rand, honest question, of int) (list []question) {
	t.Helper()
	good := must(evidence.Unpack("evidence.tar", honest.Data))
	paths := good.Paths()
	for i, path := range paths {
		data := good[path]
		for k, change := range []func() []byte{
			func() []byte { return flipped(data, r.IntN(len(data))) },
			func() []byte { return data[:len(data)-1-r.IntN(min(len(data)-1, 40))] },
			func() []byte { return append(bytes.Clone(data), '\n') },
			func() []byte { return good[paths[(i+1)%len(paths)]] },
			func() []byte { return flipped(data, 0) },
			func() []byte { return flipped(data, len(data)-1) },
			func() []byte { return nil }, // left out
			func() []byte { return []byte{} },
		} {
			if path == evidence.ManifestFile || !full && (i+k)%of != 0 {
				continue
			}
			files := maps.Clone(good)
			if files[path] = change(); files[path] == nil {
				delete(files, path)
			}
			list = append(list, tampered(t, honest, fmt.Sprintf("%s: %s, change %d", honest.Name, path, k), files))
		}
	}
	return list
}

// Every file of an honest package is changed, cut off, left out, or another's: none is
// accepted, and no claim is shown that the library doesn't show.
func TestJavaScriptNoticesWhatIsChangedInAPackage(t *testing.T) {
	all := packages(t)
	named := func(name string) question {
		return all[slices.IndexFunc(all, func(q question) bool { return q.Name == name })]
	}
	honest := named("honest")
	r := rand.New(rand.NewPCG(13, 17))
	list := changes(t, r, honest, 4)
	for _, name := range []string{"destroyed", "hybrid"} {
		list = append(list, changes(t, r, named(name), 8)...)
	}
	for range sample(25, 400) {
		q, at := honest, r.IntN(len(honest.Data))
		q.Name, q.Data = fmt.Sprintf("byte %d of the archive", at), flipped(honest.Data, at)
		list = append(list, q)
	}
	for _, n := range []int{0, 1, 511, 512, 1024, len(honest.Data) - 512, len(honest.Data) - 1} {
		q := honest
		q.Name, q.Data = fmt.Sprintf("the first %d bytes", n), honest.Data[:n]
		list = append(list, q)
	}
	n, got := ask(t, list)
	for i, q := range list {
		// A sign-off of the close that isn't needed may be left out: no record lists it.
		if got[i].Accepted && !strings.HasPrefix(q.Name, "honest: signoffs/close/") && !strings.HasPrefix(q.Name, "hybrid: signoffs/close/") {
			t.Errorf("%s: accepted: %s", q.Name, got[i].Verdict)
		}
	}
	t.Logf("%d changed packages, %s", len(list), n)
}

func flipped(data []byte, at int) []byte {
	b := bytes.Clone(data)
	b[at] ^= 1 << (at % 8)
	return b
}

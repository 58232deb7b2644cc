package site

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// notice is a retirement or a void that is published beside the packages: each of them
// was judged with it.
type notice struct {
	*bundle.Notice
	path  string // in the site
	files Files
}

// readNotices reads what is to stand beside the packages.
func readNotices(list []evidence.Input) (notices []*notice, err error) {
	for _, in := range list {
		if in.Folder != nil || evidence.Detect(in.Data) == evidence.TypeEvidence {
			return nil, noNotice(in.File)
		}
		b, err := bundle.ParseAny(in.File, in.Data)
		switch {
		case err != nil:
			return nil, err
		case b.Notice == nil:
			return nil, noNotice(in.File)
		}
		n := &notice{Notice: b.Notice, path: fmt.Sprintf("notices/epoch-%d.json", b.Notice.Epoch)}
		n.files = Files{n.path: in.Data}
		if in.Proof != nil {
			n.files[n.path+".tlog-proof"] = in.Proof
		}
		for i, p := range in.Proofs {
			n.files[evidence.ProofNumber(n.path+".tlog-proof", i+2)] = p.Data
		}
		for _, other := range notices {
			if other.path == n.path {
				return nil, strict.Errorf(in.File, "is a second notice of epoch %d: a namespace has one", n.Epoch).
					WithHint("keep both: together they are evidence")
			}
		}
		notices = append(notices, n)
	}
	return notices, nil
}

func noNotice(file string) error {
	return strict.Errorf(file, "is no notice: beside packages stand retirements and voids").
		WithHint("a package is published by naming it among the packages")
}

// card tells a notice on the index.
func (n *notice) card() string {
	var m markup
	kind := "void"
	if n.Retires() {
		kind = "retirement"
	}
	m.add("<article class=\"card\">\n<h2>", fmt.Sprintf("Epoch %d", n.Epoch), " <small>", kind, "</small></h2>\n<dl>\n")
	for _, fact := range explain.NoticeFacts(n.Notice)[1:] { // without its format
		m.add("<dt>", fact[0], "</dt><dd>", fact[1], "</dd>\n")
	}
	m.add("<dt>files</dt><dd>")
	for _, path := range []string{n.path, n.path + ".tlog-proof"} {
		if data := n.files[path]; data != nil {
			m.add("<a href=\""+path+"\" download>", path, "</a>"+digits("SHA-256", sha256.Sum256(data)))
		}
	}
	m.add("</dd>\n<dt>verify it</dt><dd><code>", "fleetctl verify "+n.path+" --policy your-policy.yaml --expect notice", "</code></dd>\n</dl>\n</article>\n")
	return m.String()
}

// standing says what became of an epoch, by the notices beside it.
func (e *epoch) standing() string {
	var m markup
	for _, s := range e.report.Standing {
		m.add("<p class=\"note\"><strong>", strings.ToUpper(s.What[:1])+s.What[1:], "</strong> ", s.Text(), "</p>\n")
	}
	return m.String()
}

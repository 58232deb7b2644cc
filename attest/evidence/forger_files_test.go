package evidence_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
)

// scalar is a line of YAML with a plain value.
var scalar = regexp.MustCompile(`^( *)(- )?([a-z_A-Z0-9]+): *(.*)$`)

// planLies change each field of the plan, of the first item of each list.
func (b *base) planLies() (list []lie) {
	lines := strings.SplitAfter(string(b.files[ceremony.PlanFile]), "\n")
	var path []string
	var indents []int
	seen := map[string]bool{}
	for i, line := range lines {
		m := scalar.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		indent := len(m[1]) + len(m[2])
		for len(indents) > 0 && indents[len(indents)-1] >= indent {
			path, indents = path[:len(path)-1], indents[:len(indents)-1]
		}
		path, indents = append(path, m[3]), append(indents, indent)
		name := "plan.yaml " + strings.Join(path, ".")
		if m[4] == "" || m[4] == "|" || seen[name] || m[3] == "format" {
			continue
		}
		seen[name] = true
		for _, to := range b.otherScalars(m[3], m[4]) {
			list = append(list, lie{field: name, how: to, file: ceremony.PlanFile, bytes: func(_ *forgery, data []byte) []byte {
				changed := slices.Clone(lines)
				changed[i] = strings.Replace(line, m[4], to, 1)
				return []byte(strings.Join(changed, ""))
			}})
		}
	}
	for _, x := range []struct{ field, old, to string }{
		{"plan.yaml a comment", "# Plan of a key ceremony.", "# A plan of a key ceremony."},
		{"plan.yaml log_policy", "\n  quorum both", "\n  quorum none"},
	} {
		list = append(list, lie{field: x.field, how: strings.TrimSpace(x.to), file: ceremony.PlanFile, bytes: func(_ *forgery, data []byte) []byte {
			if !bytes.Contains(data, []byte(x.old)) {
				panic("the plan has no " + x.old)
			}
			return bytes.Replace(data, []byte(x.old), []byte(x.to), 1)
		}})
	}
	return list
}

// otherScalars are other values of a field in YAML, that its form allows.
func (b *base) otherScalars(field, old string) []string {
	raw, _ := b.stranger.Public.Ed25519()
	switch {
	case field == "mode":
		return []string{"production"}
	case field == "key" && strings.HasPrefix(old, "ssh-"):
		return []string{b.person.Key().String()}
	case field == "key" && len(old) < 50:
		return []string{base64.StdEncoding.EncodeToString(raw)}
	case field == "key":
		return []string{base64.StdEncoding.EncodeToString(b.operator.Public.SPKI())}
	case field == "role":
		return []string{"auditor"}
	case field == "algorithm":
		return []string{map[bool]string{true: "ed25519", false: "ecdsa-p256"}[old == "ecdsa-p256"]}
	case field == "form":
		return []string{map[bool]string{true: "signature", false: "bound"}[strings.Contains(old, "bound")]}
	case field == "ciphersuite":
		return []string{"2"}
	case strings.HasPrefix(old, "["):
		return []string{"[]"}
	case old == `""`:
		return []string{`"` + strings.Repeat("0", 63) + `1"`}
	case strings.HasPrefix(old, `"`):
		return []string{old[:len(old)-1] + `x"`}
	}
	if n, err := strconv.Atoi(old); err == nil {
		return []string{strconv.Itoa(n + 1), strconv.Itoa(n - 1)}
	}
	return []string{old + "x"}
}

// jsonLies change each value in the files that are JSON. A file of the package that
// differs from what the records give, and from what others signed.
func (b *base) jsonLies() (list []lie) {
	paths := []string{ceremony.ArtifactFile, ceremony.CoreFile, ceremony.BundleFile}
	for _, path := range b.files.Paths() { // the first device's evidence
		if strings.HasPrefix(path, ceremony.AttestationsDir+"/") {
			paths = append(paths, path)
			break
		}
	}
	for _, path := range paths {
		data := b.files[path]
		if data == nil {
			continue
		}
		root := must(parseTree(data))
		root.leaves(path+" ", func(field string, n *tree) {
			to, old := otherLeaf(n), *n
			*n = to
			changed := root.like(data)
			*n = old
			list = append(list, lie{field: field, how: fmt.Sprintf("%.20q", to.text), file: path, bytes: func(*forgery, []byte) []byte { return changed }})
		})
	}
	return list
}

// otherLeaf is another value of the same form.
func otherLeaf(n *tree) tree {
	switch {
	case n.kind != '"':
		return n.others()[0]
	case n.text == "":
		return tree{kind: '"', text: "x"}
	}
	end := len(strings.TrimRight(n.text, "=Z")) - 1
	if end > 3 && strings.ContainsAny(n.text, "=") {
		end -= 2 // bits that are there
	}
	return tree{kind: '"', text: n.text[:end] + nextDigit(n.text[end:end+1]) + n.text[end+1:]}
}

// leaves are all values in a tree, of each list the first one alone.
func (n *tree) leaves(at string, yield func(field string, n *tree)) {
	switch {
	case n.inside != nil:
		n.inside.leaves(at+" → ", yield)
	case n.kind == '{':
		for i, item := range n.items {
			dot := "."
			if strings.HasSuffix(at, " ") {
				dot = ""
			}
			item.leaves(at+dot+n.names[i], yield)
		}
	case n.kind == '[':
		if len(n.items) > 0 {
			n.items[0].leaves(at+"[0]", yield)
		}
	default:
		yield(at, n)
	}
}

// otherLies are about the files that nobody signs line by line.
func (b *base) otherLies() []lie {
	edit := func(field, how, file, old, to string) lie {
		return lie{field: field, how: how, file: file, bytes: func(_ *forgery, data []byte) []byte {
			if !bytes.Contains(data, []byte(old)) {
				return append(data, '\n')
			}
			return bytes.Replace(data, []byte(old), []byte(to), 1)
		}}
	}
	list := []lie{edit("MANIFEST a digest", "its first character", evidence.ManifestFile, string(b.files[evidence.ManifestFile][:8]), "00000000"),
		edit("MANIFEST a path", "another", evidence.ManifestFile, ceremony.PlanFile, "plan.yml")}
	if b.files[evidence.PageFile] != nil {
		list = append(list, edit("index.html a word", "another", evidence.PageFile, "<h2>", "<h2>No "),
			edit("index.html its version", "another", evidence.PageFile, "fleetctl page v4", "fleetctl page v9"))
	}
	return list
}

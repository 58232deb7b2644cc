package evidence_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// textLies change each line of what people sign, and how it is signed, once for
// each act, stage and part.
func (b *base) textLies() (list []lie) {
	seen := map[string]bool{}
	for _, path := range b.files.Paths() {
		base, isSig := strings.CutSuffix(path, ".sig")
		if !isSig {
			continue
		}
		person := base[strings.LastIndexAny(base, "/-")+1:]
		kind := strings.TrimSuffix(base, person)
		kind = regexp.MustCompile(`-[0-9]+-$`).ReplaceAllString(kind, "") + " by the " + b.fleet.Parties.People[person].Role
		if seen[kind] {
			continue
		}
		seen[kind] = true
		list = append(list, b.sigLies(kind, base, person)...)
		for i, line := range strings.SplitAfter(string(b.files[base]), "\n") {
			name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				name, rest = fmt.Sprintf("line %d", i+1), name
			}
			if rest == "" {
				continue
			}
			to := rest + "x"
			if c, ok := map[string]string{"head": "", "plan": "", "subject": "", "artifact": ""}[name]; ok {
				to = c + map[bool]string{true: "1", false: "0"}[rest[:1] == "0"] + rest[1:]
			}
			switch {
			case name == "role":
				to = map[bool]string{true: ceremony.Witness, false: ceremony.Officer}[rest == ceremony.Officer]
			case name == "verdict":
				to = ceremony.DoNotAgree
			case name == "act":
				to = map[bool]string{true: ceremony.ApproveResume, false: ceremony.ApproveOpen}[rest == ceremony.ApproveOpen]
			case name == "stage":
				to = map[bool]string{true: ceremony.StageClose, false: ceremony.StageRelease}[rest == ceremony.StageRelease]
			case rest == ceremony.Rehearsal:
				to = ceremony.Production
			}
			list = append(list, lie{field: kind + " " + name, how: fmt.Sprintf("%.20q", to), file: base, bytes: func(_ *forgery, data []byte) []byte {
				l := strings.SplitAfter(string(data), "\n")
				l[i] = strings.Replace(l[i], rest, to, 1)
				return []byte(strings.Join(l, ""))
			}})
		}
	}
	return list
}

// sigLies change a signature: another's, under another namespace, and a bit of it.
func (b *base) sigLies(kind, path, person string) []lie {
	signed := func(p *testfleet.Person, namespace string) func(*forgery, []byte) []byte {
		return func(g *forgery, _ []byte) []byte {
			text := g.files[path]
			if text == nil {
				text = g.files[ceremony.PlanFile]
			}
			return must(p.Sign(namespace, text)).Armor()
		}
	}
	list := []lie{
		{field: kind + " signature", how: "a stranger's", file: path + ".sig", bytes: signed(testfleet.NewPerson("an attacker", ""), "fleetctl-"+namespaceOf(path))},
		{field: kind + " signature", how: "under another namespace", file: path + ".sig", bytes: func(g *forgery, old []byte) []byte {
			if !slices.Contains(g.who.people, person) {
				return bytes.Replace(old, []byte("U1NIU0lH"), []byte("U1NIU0lI"), 1)
			}
			return signed(g.fleet.Parties.People[person], "file")(g, old)
		}},
		{field: kind + " signature", how: "its last byte", file: path + ".sig", bytes: func(_ *forgery, old []byte) []byte {
			i := bytes.LastIndex(old, []byte("\n-----END")) - 3
			// A and Q are both canonical before padding, whatever the signature's bytes are.
			old[i] = map[bool]byte{true: 'Q', false: 'A'}[old[i] == 'A']
			return old
		}},
	}
	return list
}

func namespaceOf(path string) string {
	switch {
	case strings.HasPrefix(path, ceremony.PlanApprovalsDir):
		return "plan-rehearsal"
	case strings.HasPrefix(path, "signoffs/"):
		return "signoff-rehearsal"
	}
	act, _, _ := strings.Cut(strings.TrimPrefix(path, ceremony.ApprovalsDir+"/"), "-")
	switch act {
	case ceremony.ApproveException, ceremony.ApproveRequest, ceremony.ApproveCountersign:
		return act + "-rehearsal"
	}
	return "session-rehearsal"
}

// proofLies change the lines of the log's proofs. Who has the log's key, or a
// witness's, signs the checkpoint again.
func (b *base) proofLies() (list []lie) {
	for _, path := range []string{ceremony.ProofFile, endFile} {
		proof := b.files[path]
		if path == endFile {
			proof = b.proof
		}
		if proof == nil {
			continue
		}
		names := []string{"format", "index", "hash", "hash 2", "hash 3"}
		body := false
		for i, line := range strings.Split(strings.TrimSuffix(string(proof), "\n"), "\n") {
			name := ""
			switch {
			case line == "" && !body:
				body, names = true, []string{"origin", "size", "root"}
				continue
			case line == "":
				names = []string{"log's signature", "cosignature"}
				continue
			case len(names) > 0:
				name, names = names[0], names[1:]
			default:
				continue
			}
			list = append(list, lie{field: path + " " + name, how: "its last character", file: path, bytes: func(g *forgery, data []byte) []byte {
				return g.resigned(data, i, body && len(strings.Split(line, " ")) == 1)
			}})
		}
	}
	return list
}

// resigned changes a line of a proof, and signs its checkpoint again.
func (g *forgery) resigned(proof []byte, i int, signedLine bool) []byte {
	lines := strings.Split(string(proof), "\n")
	if i >= len(lines) {
		return proof
	}
	l := strings.TrimRight(lines[i], "=")
	lines[i] = l[:len(l)-1] + nextDigit(l[len(l)-1:]) + lines[i][len(l):]
	text := strings.Join(lines, "\n")
	if !signedLine {
		return []byte(text)
	}
	head, rest, _ := strings.Cut(text, "\n\n")
	note, sigs, _ := strings.Cut(rest, "\n\n")
	g.log.At = func(i int) time.Time {
		if i < g.who.witnesses {
			return g.closed
		}
		return time.Time{}
	}
	kept := ""
	for n, s := range strings.SplitAfter(sigs, "\n") {
		if s != "" && (n == 0 && !g.who.log || n > g.who.witnesses) {
			kept += s
		}
	}
	return []byte(head + "\n\n" + note + "\n\n" + string(must(g.log.Sign(note+"\n", g.who.log))) + kept)
}

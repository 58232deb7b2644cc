package byhand

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Part is one thing that a claim rests on: a signature, a record, a file.
type Part struct {
	Title    string
	Rows     [][2]string
	Commands []string // of bash, in the folder that the package was unpacked to
}

// explainer has the files of a package or a bundle, and what was read of them.
type explainer struct {
	files   evidence.Files
	archive []byte
	logged  []byte // the proof of how a ceremony ended
	policy  *evidence.Policy
	people  []pinned
	a       *ceremony.Account // nil of a bundle
	lines   []span            // of the records, by number from 1
	named   []string          // "n hash" of the records that the parts rest on
	hashes  [][32]byte
	b       *bundle.Bundle // nil where there is none, or none that can be read
	parts   []Part
}

type pinned struct {
	Name string `strict:"name,token"`
	Role string `strict:"role"`
	Key  string `strict:"key"`
}

// Explain says what a claim of a package or a bundle rests on. What can't be read is left
// out: the report says what is wrong with it. policy is the policy's file.
func Explain(in evidence.Input, p *evidence.Policy, policy []byte, claim string) ([]Part, error) {
	if _, ok := rests()[claim]; !ok {
		return nil, fmt.Errorf("there is no claim %q", claim)
	}
	x := &explainer{files: in.Folder, logged: in.Logged, policy: p}
	if x.files == nil {
		switch evidence.Detect(in.Data) {
		case evidence.TypeEvidence:
			files, err := evidence.Unpack(in.File, in.Data)
			if err != nil {
				return nil, err
			}
			x.files, x.archive = files, in.Data
		case evidence.TypeBundle:
			x.files = evidence.Files{ceremony.BundleFile: in.Data, ceremony.ProofFile: in.Proof}
		default:
			return nil, nil
		}
	}
	if x.archive == nil && claim == evidence.ClaimLogged {
		x.archive, _ = evidence.Pack(in.Folder) // a folder that can't be packed has no entry
	}
	root, err := strict.ParseYAML(p.File, policy, strict.MaxYAML)
	if err != nil {
		return nil, err
	}
	if n := root.Get("people"); n != nil {
		for _, item := range n.Items {
			x.people = append(x.people, pinned{text(item, "name"), text(item, "role"), text(item, "key")})
		}
	}
	x.read()
	x.explain(claim)
	x.chain()
	if len(x.parts) > 0 && beyond()[claim] != "" {
		x.add(Part{Title: "what these commands do not check", Rows: [][2]string{{"not checked", beyond()[claim]}}})
	}
	return x.parts, nil
}

func text(n *strict.Node, name string) string {
	if v := n.Get(name); v != nil {
		return v.Text
	}
	return ""
}

// read follows the transcript, and finds each record's place in it.
func (x *explainer) read() {
	if data, ok := x.files[ceremony.BundleFile]; ok {
		if b, err := bundle.ParseAny(ceremony.BundleFile, data); err == nil {
			x.b = b
		}
	}
	plan, err := ceremony.ParsePlan(ceremony.PlanFile, x.files[ceremony.PlanFile])
	if err != nil {
		return
	}
	data := x.files[ceremony.TranscriptFile]
	a, t, err := ceremony.Replay(plan, ceremony.TranscriptFile, data)
	if err != nil || a.Open == nil {
		return
	}
	x.a, x.lines, x.hashes = a, make([]span, 1), make([][32]byte, 1)
	at := 0
	for range t.Records {
		n := bytes.IndexByte(data[at:], '\n') + 1
		x.lines = append(x.lines, span{File: ceremony.TranscriptFile, Offset: at, Length: n})
		at += n
	}
	for _, r := range t.Records[min(1, len(t.Records)):] {
		x.hashes = append(x.hashes, r.Prev)
	}
	x.hashes = append(x.hashes, a.Head)
}

func (x *explainer) explain(claim string) {
	if x.b != nil {
		switch claim {
		case evidence.ClaimMode, evidence.ClaimStatement:
			x.statements()
		case evidence.ClaimCountersigned:
			x.countersignatures()
		case evidence.ClaimIncluded:
			x.included(ceremony.BundleFile, ceremony.ProofFile, x.files[ceremony.BundleFile], x.files[ceremony.ProofFile])
		case evidence.ClaimWitnessed:
			x.witnessed(x.files[ceremony.ProofFile])
		case evidence.ClaimRekor:
			x.file("Rekor's entry: its parts say sections 16.4 and 20 of SPEC", evidence.RekorFile)
		}
	}
	if x.a == nil {
		return
	}
	switch claim {
	case evidence.ClaimGenerated, evidence.ClaimNonexportable:
		x.keys(claim == evidence.ClaimGenerated)
	case evidence.ClaimPossession:
		x.possessions()
		x.committed()
	case evidence.ClaimAgreement:
		x.agreements()
	case evidence.ClaimKeyAttested, evidence.ClaimCountersignerAttested:
		x.attestations(claim == evidence.ClaimCountersignerAttested)
	case evidence.ClaimFleetChecked:
		x.matrix()
		x.signed(ceremony.SignoffDir(ceremony.StageRelease))
	case evidence.ClaimPlanApproved:
		x.signed(ceremony.PlanApprovalsDir)
		x.signed(ceremony.ApprovalsDir)
	case evidence.ClaimReleaseSignoff:
		x.signed(ceremony.SignoffDir(ceremony.StageRelease))
	case evidence.ClaimCloseSignoff:
		x.signed(ceremony.SignoffDir(ceremony.StageClose))
	case evidence.ClaimDrilled:
		x.drills()
		x.signed(ceremony.SignoffDir(ceremony.StageClose))
	case evidence.ClaimLockdown:
		x.records("lock-down", ceremony.KindLockdown)
		x.signed(ceremony.SignoffDir(ceremony.StageClose))
	case evidence.ClaimBound:
		x.listed()
		x.signed(ceremony.SignoffDir(ceremony.StageClose))
	case evidence.ClaimPage:
		x.file("the page, whose digest the close record lists", evidence.PageFile)
	case evidence.ClaimLogged:
		x.ending()
	case evidence.ClaimDestroyed:
		x.destroyed()
		x.signed(ceremony.SignoffDir(ceremony.StageClose))
	case evidence.ClaimAbortSigned:
		x.signed(ceremony.ApprovalsDir)
	}
}

const rules = "that every record follows the rules of a ceremony (SPEC 6, 7, 9)"

// beyond says of a claim what its commands leave open, and fleetctl judges.
func beyond() map[string]string {
	return map[string]string{
		evidence.ClaimMode:           "that so many different third parties signed as the policy wants, each inside its key's window",
		evidence.ClaimPlanApproved:   "that so many different officers signed each act as plan and policy want, in time and inside their keys' windows (SPEC 7.2)",
		evidence.ClaimGenerated:      rules + "; that an HSM made the keys: it says so itself",
		evidence.ClaimNonexportable:  rules + "; that the HSMs tell the truth: they say so themselves",
		evidence.ClaimPossession:     rules + "; that so many third parties signed as the policy wants",
		evidence.ClaimAgreement:      rules + ", and what each answer follows from",
		evidence.ClaimFleetChecked:   rules + ", and that these results follow from them (SPEC 7.1)",
		evidence.ClaimReleaseSignoff: "that so many different people agree as plan and policy want, and of whom there is no verdict (SPEC 7.3)",
		evidence.ClaimCloseSignoff:   "that so many different people agree as plan and policy want, and of whom there is no verdict (SPEC 7.3)",
		evidence.ClaimStatement:      "that so many different third parties signed as the policy wants, each inside its key's window",
		evidence.ClaimCountersigned:  "that the operator's key is inside its window",
		evidence.ClaimWitnessed:      "that these witnesses make the quorum that the policy wants, at times that count (SPEC 16.2)",
		evidence.ClaimRekor:          "the entry: fleetctl verify does",
		evidence.ClaimDrilled:        "that a report is of its one form and contradicts neither itself nor the ceremony (SPEC 27); that the drill was run as it says is the word of those who signed the close",
		evidence.ClaimLockdown:       "that these are the entries of the plan's list, in order",
		evidence.ClaimBound:          "that there is no file beside those listed, and that enough people signed the close off",
		evidence.ClaimPage:           "that the page says what the data says: fleetctl renders it again and compares",
		evidence.ClaimDestroyed:      rules + "; that the retirement and the bundle of the keys are signed and logged; that the HSMs tell the truth: they say so themselves; that there is no backup, copy or clone",
		evidence.ClaimAbortSigned:    "that these are enough people (SPEC 18.2)",
	}
}

// chained prints number and hash of every record, as long as each names the one before.
const chained = `last=$(sha256sum < plan.yaml | cut -c1-64); jq -r '[.n, .time, .kind, .prev, .commit] | @tsv' transcript.jsonl | while IFS=$'\t' read -r n time kind prev commit; do test "$prev" = "$last" || exit 1; last=$(printf 'fleetctl record v1\n%s\n%s\n%s\n%s\n%s\n' "$n" "$time" "$kind" "$prev" "$commit" | sha256sum | cut -c1-64); echo "$n $last"; done > ../chain`

// chain shows that the records that the parts name stand in the plan's chain.
func (x *explainer) chain() {
	if x.a == nil || len(x.named) == 0 {
		return
	}
	slices.Sort(x.named)
	plan := x.a.Plan.Digest()
	commands := []string{chained}
	for _, n := range slices.Compact(x.named) {
		commands = append(commands, fmt.Sprintf("grep -qx '%s' ../chain", n))
	}
	x.add(Part{Title: "the chain that these records stand in (SPEC 6)", Rows: [][2]string{{"begins", fmt.Sprintf("at plan.yaml, sha256 %x", plan)},
		{"ends", fmt.Sprintf("with record %d, hash %x", x.a.N, x.a.Head)}}, Commands: commands})
}

func (x *explainer) add(p Part) { x.parts = append(x.parts, p) }

// file shows a file of the package by its digest.
func (x *explainer) file(title, path string) {
	data, ok := x.files[path]
	if !ok {
		return
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	x.add(Part{Title: title, Rows: [][2]string{{"file", fmt.Sprintf("%s, %s", path, words.Count(int64(len(data)), "byte", "bytes"))}, {"sha256", sum}},
		Commands: []string{check(sum, path)}})
}

// check is a command that holds a file to a digest.
func check(sum, path string) string {
	return fmt.Sprintf("echo '%s  %s' | sha256sum -c -", sum, path)
}

// listed shows every file that the close record lists.
func (x *explainer) listed() {
	if x.a.Close == nil {
		return
	}
	x.record(x.a.N, "the close record, which lists every file")
	for _, f := range x.a.Close.Files {
		sum := fmt.Sprintf("%x", f.SHA256)
		x.add(Part{Title: f.Path, Rows: [][2]string{{"sha256", sum}, {"bytes", fmt.Sprint(len(x.files[f.Path]))}}, Commands: []string{check(sum, f.Path)}})
	}
}

// committed shows by what the third parties' signatures commit to the records.
func (x *explainer) committed() {
	if x.a.FleetCheck == nil {
		return
	}
	x.add(Part{Title: "what third parties signed names these records", Rows: [][2]string{
		{"fleet-keys.json", fmt.Sprintf("its ceremony.transcript is the hash of record %d, which the chain below leads to", x.a.FleetCheckN)}},
		Commands: []string{fmt.Sprintf("test \"$(jq -r .ceremony.transcript fleet-keys.json)\" = %x", x.a.FleetCheckHash)}})
	x.record(x.a.FleetCheckN, "the fleet check")
	if x.b != nil {
		x.statements()
	}
}

// ending shows the entry of the log that says how the ceremony ended.
func (x *explainer) ending() {
	leaf, err := evidence.PackageLeaf("", x.archive)
	if err != nil || x.logged == nil {
		return
	}
	entry := leaf.Marshal()
	x.add(Part{Title: "the entry, made again from the package (SPEC 17.5)", Rows: lines(string(entry)),
		Commands: []string{printf(string(entry)) + " > ../leaf"}})
	x.included("../leaf", "../evidence.tlog-proof", entry, x.logged)
	x.witnessed(x.logged)
}

func lines(s string) (rows [][2]string) {
	for i, l := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		rows = append(rows, [2]string{fmt.Sprintf("line %d", i+1), l})
	}
	return rows
}

// included shows the way from an entry to a checkpoint's root, and the log's signature.
func (x *explainer) included(entry, proof string, leaf, data []byte) {
	p, err := auditlog.ParseProof(proof, data)
	if err != nil || x.policy.Log == nil {
		return
	}
	steps := path(leaf, p)
	commands := []string{fmt.Sprintf("test \"$({ printf '\\0'; cat %s; } | sha256sum)\" = '%x  -'", entry, steps[0].Hash)}
	rows := [][2]string{{"leaf", fmt.Sprintf("%x", steps[0].Hash)}}
	for i, s := range steps[1:] {
		rows = append(rows, [2]string{fmt.Sprintf("hash %d", i+1), fmt.Sprintf("SHA-256 of 01 %x %x = %x", s.Left, s.Right, s.Hash)})
		commands = append(commands, fmt.Sprintf("test \"$(printf 01%x%x | xxd -r -p | sha256sum)\" = '%x  -'", s.Left, s.Right, s.Hash))
	}
	last := steps[len(steps)-1].Hash
	rows = append(rows, [2]string{"root", fmt.Sprintf("%x, entry %d of %d", p.Checkpoint.Root, p.Index, p.Checkpoint.Size)})
	commands = append(commands, fmt.Sprintf("test \"$(sed '1,/^$/d' %s | sed -n 3p | base64 -d | xxd -p -c 64)\" = %x", proof, last))
	x.add(Part{Title: "inclusion of " + entry + " (RFC 6962)", Rows: rows, Commands: commands})
	x.checkpoint(proof, data, p.Checkpoint, func(s auditlog.Signature) *auditlog.Verifier {
		for _, l := range x.policy.Log.Logs() {
			if l.Key.Name() == s.Name && l.Key.KeyHash() == s.KeyHash {
				return l.Key
			}
		}
		return nil
	})
}

// witnessed shows the cosignatures of pinned witnesses.
func (x *explainer) witnessed(data []byte) {
	proof := ceremony.ProofFile
	if !bytes.Equal(data, x.files[ceremony.ProofFile]) {
		proof = "../evidence.tlog-proof"
	}
	p, err := auditlog.ParseProof(proof, data)
	if err != nil || x.policy.Log == nil {
		return
	}
	x.checkpoint(proof, data, p.Checkpoint, func(s auditlog.Signature) *auditlog.Verifier {
		for _, w := range x.policy.Log.Witnesses() {
			if w.Key.Name() == s.Name && w.Key.KeyHash() == s.KeyHash {
				return w.Key
			}
		}
		return nil
	})
}

// parts of one kind: every record of it.
func (x *explainer) records(what string, kinds ...ceremony.Kind) {
	t, err := ceremony.ParseTranscript(ceremony.TranscriptFile, x.files[ceremony.TranscriptFile], x.a.Plan.Digest())
	if err != nil {
		return
	}
	for _, r := range t.Records {
		if slices.Contains(kinds, r.Kind) {
			x.record(r.N, what)
		}
	}
}

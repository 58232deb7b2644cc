package byhand

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// record shows a record with its place, its commitment and its hash.
func (x *explainer) record(n int, what string, more ...[2]string) {
	at := x.lines[n]
	line := x.files[at.File][at.Offset : at.Offset+at.Length]
	var r struct{ Time, Kind, Prev, Commit, Salt string }
	if json.Unmarshal(line, &r) != nil {
		return
	}
	head := fmt.Sprintf("fleetctl record v1\n%d\n%s\n%s\n%s\n%s\n", n, r.Time, r.Kind, r.Prev, r.Commit)
	rows := [][2]string{{"record", fmt.Sprintf("%d, %s: %s", n, r.Kind, at)}, {"commitment", r.Commit}, {"hash", fmt.Sprintf("%x", x.hashes[n])}}
	commands := []string{at.cut("../record")}
	if r.Salt != "" {
		commands = append(commands, fmt.Sprintf("test \"$({ jq -j .salt ../record | base64 -d; jq -j .body ../record; } | sha256sum)\" = '%s  -'", r.Commit))
	} else {
		rows = append(rows, [2]string{"withheld", "what it says was not published; its commitment counts in the chain"})
	}
	commands = append(commands,
		fmt.Sprintf("test \"$(jq -r '\"\\(.n) \\(.time) \\(.kind) \\(.prev) \\(.commit)\"' ../record)\" = '%d %s %s %s %s'", n, r.Time, r.Kind, r.Prev, r.Commit),
		fmt.Sprintf("test \"$(%s | sha256sum)\" = '%x  -'", printf(head), x.hashes[n]))
	x.named = append(x.named, fmt.Sprintf("%d %x", n, x.hashes[n]))
	x.add(Part{Title: what, Rows: append(rows, more...), Commands: commands})
}

// name is what a key is called in titles.
func name(k *ceremony.Key) string { return k.HSM + " " + k.Role }

// followers are the numbers of the records that are about an intent, by kind.
func (x *explainer) followers(intent int) map[ceremony.Kind]int {
	found := map[ceremony.Kind]int{}
	t, err := ceremony.ParseTranscript(ceremony.TranscriptFile, x.files[ceremony.TranscriptFile], x.a.Plan.Digest())
	if err != nil {
		return found
	}
	for _, r := range t.Records[intent:] {
		switch r.Kind {
		case ceremony.KindIntent, ceremony.KindFleetCheck, ceremony.KindTarget, ceremony.KindGone:
			return found
		}
		if _, ok := found[r.Kind]; !ok {
			found[r.Kind] = r.N
		}
	}
	return found
}

// keys shows what was read of each key, and what was tried on it.
func (x *explainer) keys(generated bool) {
	for _, k := range x.a.Keys {
		at := x.followers(k.N)
		if k.Outcome != nil && generated {
			x.record(at[ceremony.KindOutcome], name(k)+": generated", [2]string{"mechanism", k.Outcome.Mechanism},
				[2]string{"public key", fmt.Sprintf("SHA-256 of its SubjectPublicKeyInfo %x", sha256.Sum256(k.Outcome.PublicKey))})
		}
		if k.Attributes != nil {
			var rows [][2]string
			for _, half := range []struct {
				name string
				list []ceremony.Attribute
			}{{"private", k.Attributes.Private}, {"public", k.Attributes.Public}} {
				for _, r := range half.list {
					if generated && !slices.Contains([]string{"LOCAL", "KEY_GEN_MECHANISM", "NEVER_EXTRACTABLE", "ALWAYS_SENSITIVE"}, r.Name) {
						continue
					}
					rows = append(rows, [2]string{half.name, r.Name + " " + reading(r)})
				}
			}
			x.record(at[ceremony.KindAttributes], name(k)+": attributes as they were read back", rows...)
		}
		if !generated {
			x.record(at[ceremony.KindNegativeTest], name(k)+": attempts to take it out", attempts(k)...)
		}
	}
	x.committed()
}

func reading(r ceremony.Attribute) string {
	switch {
	case r.Code != "":
		return "could not be read: " + r.Code
	case r.Value == "":
		return "no bytes"
	}
	return r.Value
}

func attempts(k *ceremony.Key) (rows [][2]string) {
	tell := func(label string, list []ceremony.Attempt) {
		for _, a := range list {
			said := a.Call + ": " + a.Code
			if a.Unstaged {
				said += ", the token has no means for it"
			}
			rows = append(rows, [2]string{label + a.Name, said})
		}
	}
	tell("", k.Attempts)
	if r := k.Relaxed; r != nil {
		for _, a := range r.While {
			rows = append(rows, [2]string{"while weaker", a.Name + " " + reading(a)})
		}
		tell("again ", r.Attempts)
		tell("set back ", r.Restored)
		for _, a := range r.After {
			rows = append(rows, [2]string{"afterwards", a.Name + " " + reading(a)})
		}
	}
	return rows
}

// possessions shows each key's answer to its nonce.
func (x *explainer) possessions() {
	for _, k := range x.a.KeysOf(keys.Sign) {
		x.possession(k)
	}
}

// possession shows by which signature a key showed itself.
func (x *explainer) possession(k *ceremony.Key) {
	key, err := keys.ParseSPKI(k.Outcome.PublicKey)
	n := x.followers(k.N)[ceremony.KindPossession]
	if err != nil || n == 0 {
		return
	}
	at, ok := x.find(ceremony.TranscriptFile, x.files[ceremony.TranscriptFile], x.lines[n].Offset, base64.StdEncoding.EncodeToString(k.Possession.Signature), "base64")
	if !ok {
		return
	}
	message := x.a.PossessionText(k)
	nonce := k.Nonce()
	x.record(k.N, name(k)+": its intent, whose hash the nonce is made of", [2]string{"nonce", fmt.Sprintf("%x", nonce)})
	last := &x.parts[len(x.parts)-1]
	last.Commands = append(last.Commands, fmt.Sprintf("test \"$(printf 'fleetctl nonce v1\\n%x\\n' | sha256sum)\" = '%x  -'", x.hashes[k.N], nonce))
	x.show(signature{title: name(k) + ": its answer, record " + fmt.Sprint(n), key: key, text: message, at: at, write: printf(string(message)) + " > ../text",
		origin: "eight lines, made again from plan, records and key (SPEC 8)"})
}

// agreements shows the records of keys that agree. What an answer follows from, openssl
// can't say in one command.
func (x *explainer) agreements() {
	for _, k := range x.a.KeysOf(keys.Agree) {
		at := x.followers(k.N)
		if k.Peer == nil || k.Possession == nil {
			continue
		}
		by := k.Peer.By
		if k.Peer.Challenger != "" {
			by += " " + k.Peer.Challenger
		}
		x.record(at[ceremony.KindAgreementPeer], name(k)+": the peer that it was challenged with", [2]string{"drawn by", by}, [2]string{"peer", fmt.Sprintf("%x", k.Peer.Peer)})
		x.record(at[ceremony.KindPossession], name(k)+": its answer", [2]string{"answer", fmt.Sprintf("%x", k.Possession.Answer)},
			[2]string{"not checked", "that it follows from key and scalar: X25519, ECDH or ML-KEM, HKDF and HMAC (SPEC 8.1)"})
	}
	if len(x.a.KeysOf(keys.Agree)) > 0 {
		x.committed()
	}
}

// attestations shows the files of what devices attested.
func (x *explainer) attestations(countersigner bool) {
	for intent, r := range x.a.Attestations {
		if (intent == 0) != countersigner {
			continue
		}
		file := fmt.Sprintf("%s/%d.json", ceremony.AttestationsDir, intent)
		if intent == 0 {
			file = ceremony.CountersignerAttestation
		}
		sum := fmt.Sprintf("%x", r.Evidence)
		x.add(Part{Title: file, Rows: [][2]string{{"format", r.Format}, {"identity", r.Identity}, {"sha256", sum + ", as its record names it"},
			{"not checked", "by these commands: what the evidence shows and its chain of certificates; fleetctl attestation check does (SPEC 23)"}}, Commands: []string{check(sum, file)}})
	}
	slices.SortFunc(x.parts, func(a, b Part) int { return strings.Compare(a.Title, b.Title) })
}

// drills shows the records of drills, with the reports' files.
func (x *explainer) drills() {
	for _, d := range x.a.Drills {
		rows := [][2]string{{"outcome", d.Outcome}}
		if d.Outcome == ceremony.DrillNone {
			rows = append(rows, [2]string{"why", d.Reason})
		}
		if len(d.Left) > 0 {
			rows = append(rows, [2]string{"left in", strings.Join(d.Left, ", ")})
		}
		x.record(d.N, fmt.Sprintf("drill %d", d.Number), rows...)
		if d.Outcome != ceremony.DrillNone {
			x.file(fmt.Sprintf("the report of drill %d, whose digest the record names", d.Number), ceremony.DrillFile(d.Number))
		}
	}
}

// matrix shows the fleet check's rows.
func (x *explainer) matrix() {
	if x.a.FleetCheck == nil {
		return
	}
	var rows [][2]string
	for _, r := range x.a.FleetCheck.Rows {
		var cells []string
		for i, c := range r.Results {
			cells = append(cells, x.a.FleetCheck.Checks[i]+" "+c)
		}
		rows = append(rows, [2]string{r.HSM, strings.Join(cells, ", ")})
	}
	x.record(x.a.FleetCheckN, "the fleet's matrix", append(rows, [2]string{"majority", fmt.Sprint(x.a.FleetCheck.Majority)})...)
}

// countersigned is what the operator signed.
func (x *explainer) countersigned(form string) ([]byte, error) {
	if x.b.Notice != nil {
		return bundle.CountersignNotice(form, x.b.Notice, x.b.Statements)
	}
	return bundle.CountersignMessage(form, x.b.KeySet, x.b.Statements)
}

// signed shows each signature of a folder of what people signed.
func (x *explainer) signed(dir string) {
	list, err := ceremony.Signings(x.files, dir)
	if err != nil {
		return
	}
	for _, s := range list {
		textFile, sigFile := dir+"/"+s.Name, dir+"/"+s.Name+".sig"
		if dir == ceremony.PlanApprovalsDir {
			textFile = ceremony.PlanFile
		}
		sig, err := sshsig.Parse(sigFile, s.Signature)
		if err != nil {
			continue
		}
		who, key := "", sig.Key()
		for _, p := range x.people {
			if k, err := sshsig.ParsePublicKey(p.Key); err == nil && k.Equal(key) {
				who = p.Role + "/" + p.Name
			}
		}
		signedText := x.files[textFile]
		rows := [][2]string{{"key", fmt.Sprintf("%s %s", key.Type(), key.Fingerprint())}, {"namespace", sig.Namespace()},
			{"signed", span{File: textFile, Length: len(signedText)}.String()}, {"", fmt.Sprintf("sha256 %x", sha256.Sum256(signedText))},
			{"signature", span{File: sigFile, Length: len(s.Signature)}.String() + " (SSHSIG)"}}
		if dir != ceremony.PlanApprovalsDir {
			rows = append(rows, lines(string(signedText))...)
			for line := range strings.Lines(string(signedText)) {
				if f := strings.Fields(line); len(f) == 3 && f[0] == "head" {
					x.named = append(x.named, f[2]+" "+f[1])
				}
			}
		}
		title, name := who+" signed "+textFile, strings.ReplaceAll(who, "/", ".")
		if who == "" {
			title, name = "somebody whom the policy does not pin signed "+textFile+": it counts for nothing", "nobody"
		}
		x.add(Part{Title: title, Rows: rows, Commands: []string{
			fmt.Sprintf("echo '%s %s' > ../allowed", name, key),
			fmt.Sprintf("ssh-keygen -Y verify -f ../allowed -I %s -n %s -s %s < %s", name, sig.Namespace(), sigFile, textFile)}})
	}
}

// destroyed shows of each key how it showed itself, and what came of its destruction.
func (x *explainer) destroyed() {
	for _, d := range x.a.Doomed {
		at := x.followers(d.N)
		x.record(d.N, name(d.Key)+": as its token held it", [2]string{"public key", fmt.Sprintf("SHA-256 of its SubjectPublicKeyInfo %x", d.Target.PublicKey)})
		if d.Possession != nil && d.Possession.Signature != nil {
			x.possession(d.Key)
		}
		if n := at[ceremony.KindDestruction]; n != 0 {
			rows := [][2]string{{"held before", strings.Join(d.Destruction.Held, ", ")}}
			for _, t := range d.Destruction.Attempts {
				rows = append(rows, [2]string{t.Name, t.Call + ": " + t.Code})
			}
			for _, s := range d.Destruction.Searches {
				rows = append(rows, [2]string{"search", fmt.Sprintf("by %s: %d found", s.By, s.Found)})
			}
			x.record(n, name(d.Key)+": what came of it", rows...)
		}
	}
	x.records("what a new process found", ceremony.KindGone)
}

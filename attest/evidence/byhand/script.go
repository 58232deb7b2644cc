// Package byhand shows what a claim rests on, down to bytes, with the commands of other
// programs that check it, and writes these as scripts that run without fleetctl.
package byhand

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// The parts of scripts/verify-by-hand: it reads them where they lie, and a script of one
// claim has those that it needs.
//
//go:embed *.sh
var parts embed.FS

// rests names the parts that a claim's functions are in, besides base, bundle and main.
func rests() map[string][]string {
	return map[string][]string{
		evidence.ClaimMode:                  nil,
		evidence.ClaimPlanApproved:          {"people"},
		evidence.ClaimGenerated:             {"keys"},
		evidence.ClaimNonexportable:         {"keys"},
		evidence.ClaimPossession:            {"keys"},
		evidence.ClaimAgreement:             {"keys"},
		evidence.ClaimKeyAttested:           {"keys"},
		evidence.ClaimFleetChecked:          {"people", "keys"},
		evidence.ClaimReleaseSignoff:        {"people"},
		evidence.ClaimStatement:             nil,
		evidence.ClaimCountersigned:         nil,
		evidence.ClaimCountersignerAttested: {"keys"},
		evidence.ClaimIncluded:              {"log"},
		evidence.ClaimWitnessed:             {"log"},
		evidence.ClaimRekor:                 {"log"},
		evidence.ClaimDrilled:               {"people", "ending"},
		evidence.ClaimLockdown:              {"people", "ending"},
		evidence.ClaimCloseSignoff:          {"people"},
		evidence.ClaimBound:                 {"people", "ending"},
		evidence.ClaimPage:                  {"people", "ending"},
		evidence.ClaimLogged:                {"people", "log", "ending"},
		evidence.ClaimAbortSigned:           {"people"},
		evidence.ClaimDestroyed:             {"people", "bundle", "keys", "log", "destroyed"},
	}
}

// order is how the parts follow each other.
var order = []string{"base", "people", "bundle", "keys", "log", "ending", "destroyed", "main"}

const scriptHead = `#!/usr/bin/env bash
# Checks %s of %s without fleetctl, under the policy written below:
#
#     bash SCRIPT [FILE]
#
# Each command is printed before it runs. It needs bash, GNU coreutils, sha256sum, openssl,
# ssh-keygen, jq, base64, xxd and tar. What these can't decide is called "not checked".
#
# Exit code 0: the claim is checked, but for what is called "not checked". 1: something
# doesn't hold. 2: usage. 3: nothing failed, and the claim itself is not decided here.
`

// Script writes a script that checks one claim of a file without fleetctl, by the keys of
// a policy, which is written into it. It judges as of a time; as of its own clock where
// that is zero.
func Script(claim, file string, policy []byte, at time.Time) ([]byte, error) {
	needs, ok := rests()[claim]
	if !ok {
		return nil, strict.Errorf("", "there is no claim %q", claim).WithHint("the claims are %s", strings.Join(evidence.ClaimNames(), ", "))
	}
	root, err := strict.ParseYAML("policy", policy, strict.MaxYAML)
	if err != nil {
		return nil, err
	}
	needs = slices.Concat(needs, []string{"base", "bundle", "main"})
	var b bytes.Buffer
	fmt.Fprintf(&b, scriptHead, claim, words.Clean(strings.ReplaceAll(file, "\n", " ")))
	for _, name := range order {
		if !slices.Contains(needs, name) {
			continue
		}
		part, err := parts.ReadFile(name + ".sh")
		if err != nil {
			return nil, err
		}
		_, part, _ = bytes.Cut(part, []byte("\n\n")) // its head is about the file that it was
		fmt.Fprintf(&b, "\n# --- %s\n\n%s", name, part)
	}
	// No line of JSON is the word that ends it.
	fmt.Fprintf(&b, "\nCLAIMS=(%s)\npolicy=$work/given.json\ncat >\"$policy\" <<'END_OF_POLICY'\n%sEND_OF_POLICY\n", claim, strict.EncodeNode(root))
	if !at.IsZero() {
		fmt.Fprintf(&b, "now=%s\n", strict.FormatTime(at))
	}
	fmt.Fprintf(&b, "usual=%s\nmain \"${1:-$usual}\" \"$policy\"\n", words.ShellWord(file))
	return b.Bytes(), nil
}

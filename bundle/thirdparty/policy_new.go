package thirdparty

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// NewPolicy writes the policy of the third party whose key it is, from a plan that
// the operator has given it: what is signed is what the plan asks for, and no less.
// Whose the keys of people and of other third parties are, the plan's author says;
// they are to be compared with their owners before anything is signed.
func NewPolicy(plan *ceremony.Plan, key [32]byte, refuses []string) ([]byte, error) {
	if !slices.ContainsFunc(plan.ThirdParties, func(x ceremony.ThirdParty) bool { return x.Key == key }) {
		return nil, strict.Errorf("the plan", "does not name this key as a third party").WithHint("it names each under third_parties:; ask the operator to name yours")
	}
	var algorithms, roles []string
	for _, r := range plan.Roles {
		if a := string(r.Algorithm); !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
		roles = append(roles, r.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# What we sign at all. From the plan of %s, epoch %d: go through every line,
# and make it say what you want, not what the plan says.
format: %s
mode: %s
namespaces: [%s]
algorithms: [%s]
roles: [%s]
least_hsms: %d

# How many of the operator's officers must have approved the plan, each act and
# the request, and must agree with the release.
threshold: %d

# How many days this machine's clock may be ahead of the newest time known.
clock_bound_days: 30

# A ceremony that had one of these is refused, whoever accepted it. There are
# %s.
`, strict.Clip(plan.Fleet), plan.Epoch, policyFormat, plan.Mode, plan.Namespace, strings.Join(algorithms, ", "), strings.Join(roles, ", "), len(plan.HSMs), plan.Threshold,
		folded(Names(Refusable())))
	if len(refuses) > 0 {
		fmt.Fprintf(&b, "refuses: [%s]\n", strings.Join(refuses, ", "))
	} else {
		b.WriteString("# refuses: [wrong-pins, destroyed-keys]\n")
	}
	if plan.Attested() {
		b.WriteString("\n# What each device's own evidence has to show, under anchors that you pin.\n# fleetctl attestation anchors lists those to choose from.\n# countersigner: requires it of the operator's HSM too; a plan that doesn't name\n# that one is then refused.\n# attestation:\n#   least: anchored\n#   countersigner: anchored\n#   anchors: []\n")
	}
	b.WriteString("\n# The operator's people, by the plan's word. Compare each key with its owner over\n# another channel than the plan's, then note beside it when and how.\npeople:\n")
	for _, p := range plan.People {
		k, err := sshsig.ParsePublicKey(p.Key)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  # to be confirmed: %s\n  - {name: %s, role: %s, key: %q}\n", k.Fingerprint(), p.Name, p.Role, p.Key)
	}
	others := slices.DeleteFunc(slices.Clone(plan.ThirdParties), func(x ceremony.ThirdParty) bool { return x.Key == key })
	if len(others) > 0 {
		fmt.Fprintf(&b, "\n# On the word of how many other third parties a gap may rest, with your consent.\nothers_needed: %d\nothers:\n", len(others))
		for _, x := range others {
			fmt.Fprintf(&b, "  # to be confirmed\n  - {name: %s, key: %q}\n", x.Name, base64.StdEncoding.EncodeToString(x.Key[:]))
		}
	}
	text := []byte(b.String())
	_, err := ParsePolicy("the new policy", text)
	return text, err
}

// folded breaks a list into lines of a comment.
func folded(list string) string {
	line := 0
	var b strings.Builder
	for i, word := range strings.Split(list, " ") {
		switch {
		case i == 0:
		case line+len(word) > 74:
			b.WriteString("\n# ")
			line = 0
		default:
			b.WriteByte(' ')
		}
		b.WriteString(word)
		line += len(word) + 1
	}
	return b.String()
}

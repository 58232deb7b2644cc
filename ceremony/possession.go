package ceremony

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Nonce binds an answer to this key's intent, and through the chain to the
// words that the witness chose at opening: it can't be had beforehand.
func (k *Key) Nonce() [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "fleetctl nonce v1\n%x\n", k.IntentHash))
}

// PossessionText is what a new key signs to show that its HSM holds it. It
// names everything the answer is for, so that it can't serve anywhere else.
func (a *Account) PossessionText(k *Key) []byte {
	return fmt.Appendf(nil, "fleetctl proof-of-possession v1\n%s\n%s\n%x\n%s\n%s\n%x\n%x\n",
		a.Plan.Mode, a.Open.Ceremony, a.Plan.Digest(), percent(a.Plan.HSM(k.HSM).Serial),
		k.Role, sha256.Sum256(k.Outcome.PublicKey), k.Nonce())
}

// percent encodes what isn't a token character, so that a serial of any bytes
// stays one line.
func percent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Tally counts what came of the attempts, for those who watch.
func (c *NegativeTest) Tally() string {
	text := tally(c.Attempts, "attempts to take the key out")
	if c.Relaxed != nil {
		text += fmt.Sprintf("; %s tolerated, and set back; %s", strings.Join(c.Relaxed.Names, ", "), tally(c.Relaxed.Attempts, "made again"))
	}
	return text
}

func tally(list []Attempt, what string) string {
	refused, impossible := 0, 0
	for _, a := range list {
		switch {
		case a.Unstaged:
			impossible++
		case a.Code != "CKR_OK":
			refused++
		}
	}
	text := fmt.Sprintf("%d of %d %s refused", refused, len(list), what)
	if impossible > 0 {
		text += fmt.Sprintf(", %d impossible on this token", impossible)
	}
	return text
}

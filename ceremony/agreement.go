package ceremony

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// A key that agrees can't sign a nonce. It shows that its HSM has it by agreeing
// with a peer that somebody drew just then: only the private half of the key, or of
// the peer, gives the secret. So the answer shows something to whoever drew the peer
// and kept its private half, and nothing to anybody else by itself.

// AgreementPeer is the peer, on the record before the key answers.
type AgreementPeer struct {
	Intent int    `strict:"intent"`
	Peer   []byte `strict:"peer,hex"`
	By     string `strict:"by"` // auditor, or machine where nobody challenges
	// Challenger is the auditor who drew it, by the plan's name.
	Challenger string `strict:"challenger,token,optional"`
}

// AgreementOpened gives the peer's private half once the answer is on the record, so
// that everybody can check the answer.
type AgreementOpened struct {
	Intent int    `strict:"intent"`
	Scalar []byte `strict:"scalar,hex"`
}

func (a *Account) takeAgreementPeer(c *AgreementPeer, r *Record) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	if err := a.CheckPeer(c.Peer); err != nil {
		return fmt.Errorf("its peer %w", err)
	}
	switch {
	case c.By == Machine && c.Challenger == "":
	case c.By == Auditor && a.Plan.isAuditor(c.Challenger):
	case c.By == Auditor:
		return fmt.Errorf("it was drawn by %q, who is no auditor of the plan", c.Challenger)
	default:
		return fmt.Errorf("it was drawn by %q for %q; an auditor of the plan draws it, named as challenger, or the machine, and then nobody is named", c.By, c.Challenger)
	}
	a.peers = append(a.peers, c.Peer)
	a.key.Peer, a.key.peerHash = c, r.place()
	return nil
}

// CheckPeer says what is wrong with a peer for the open key. One that was there
// before is no challenge: its private half is on the record. So is that of the point
// on the other side of the axis, with which a secret is the same.
func (a *Account) CheckPeer(peer []byte) error {
	alg := a.key.Intent.Algorithm
	if _, err := keys.ParsePeer(alg, peer); err != nil {
		return err
	}
	for _, p := range a.peers {
		if bytes.Equal(p, peer) || alg == keys.ECDHP256 && len(p) == len(peer) && bytes.Equal(p[1:], peer[1:]) {
			return fmt.Errorf("was drawn for another key of this ceremony already")
		}
	}
	return nil
}

func (p *Plan) isAuditor(name string) bool {
	return slices.ContainsFunc(p.People, func(x Person) bool { return x.Name == name && x.Role == Auditor })
}

// CheckScalar says whether a private half is that of the open key's peer.
func (a *Account) CheckScalar(scalar []byte) error {
	_, err := a.key.scalar(scalar)
	return err
}

func (k *Key) scalar(data []byte) (*keys.Scalar, error) {
	s, err := keys.ParseScalar(k.Intent.Algorithm, data)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(s.Peer().Encode(), k.Peer.Peer) {
		return nil, fmt.Errorf("is not that of the peer that the key answered to")
	}
	return s, nil
}

func (a *Account) takeAgreementOpened(c *AgreementOpened) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	s, err := a.key.scalar(c.Scalar)
	if err != nil {
		return fmt.Errorf("its scalar %w", err)
	}
	a.key.Opened = c
	want, err := a.agreementAnswer(a.key, s)
	if err != nil {
		return err
	}
	if want != a.key.Possession.Answer {
		a.fail("%s %s: its proof of possession: the answer is not that of the key", a.key.HSM, a.key.Role)
	}
	return nil
}

func (a *Account) agreementAnswer(k *Key, s *keys.Scalar) (answer [32]byte, err error) {
	p, err := keys.ParseAs(k.Intent.Algorithm, k.Outcome.PublicKey)
	if err != nil {
		return answer, err
	}
	secret, err := s.Secret(p)
	if err != nil {
		return answer, err
	}
	defer clear(secret)
	return keys.AgreementAnswer(p, s.Peer(), secret, a.PossessionText(k))
}

// AnswerWith is the open key's answer, with the secret that its HSM agreed on.
func (a *Account) AnswerWith(secret []byte) (answer [32]byte, err error) {
	k := a.key
	p, err := keys.ParseAs(k.Intent.Algorithm, k.Outcome.PublicKey)
	if err != nil {
		return answer, err
	}
	peer, err := keys.ParsePeer(k.Intent.Algorithm, k.Peer.Peer)
	if err != nil {
		return answer, err
	}
	return keys.AgreementAnswer(p, peer, secret, a.PossessionText(k))
}

// Use is what the key is for.
func (k *Key) Use() bundle.Use { return k.Intent.Algorithm.Use() }

// shown says that the key answered, and of one that agrees, that the answer could be
// checked.
func (k *Key) shown() bool {
	return k.Possession != nil && (k.Use() == keys.Sign || k.Opened != nil)
}

// Nonce binds an answer to this key's intent, and through the chain to the
// words that the witness chose at opening: it can't be had beforehand. Of a key that
// agrees it binds the answer to the peer as well.
func (k *Key) Nonce() [32]byte {
	after := k.IntentHash
	if k.Use() == keys.Agree {
		after = k.peerHash
	}
	return sha256.Sum256(fmt.Appendf(nil, "fleetctl nonce v1\n%x\n", after))
}

// KeysOf are the keys that stand and are for a use.
func (a *Account) KeysOf(use bundle.Use) (list []*Key) {
	for _, k := range a.Keys {
		if k.Use() == use {
			list = append(list, k)
		}
	}
	return list
}

// RolesOf are the plan's roles of a use.
func (p *Plan) RolesOf(use bundle.Use) (list []Role) {
	for _, r := range p.Roles {
		if r.Use == use {
			list = append(list, r)
		}
	}
	return list
}

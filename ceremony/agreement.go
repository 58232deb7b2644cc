package ceremony

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// A key that agrees (ECDH, X25519) can't sign a nonce. Its HSM proves that it holds
// the key by agreeing with a peer: a fresh key pair that somebody draws for it. Only
// the private half of the key or of the peer gives the shared secret. The answer is
// thus a proof to whoever drew the peer and kept its private half, and to nobody else.

// AgreementPeer puts the peer's public half on the record before the key answers.
type AgreementPeer struct {
	Intent int    `strict:"intent"`
	Peer   []byte `strict:"peer,hex"`
	By     string `strict:"by"` // auditor, or machine if no auditor challenges
	// Challenger is the auditor who drew the peer, by the plan's name.
	Challenger string `strict:"challenger,token,optional"`
}

// AgreementOpened gives the peer's private half once the answer is on the record, so
// that anybody can check the answer.
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
		return fmt.Errorf("its by is %q and its challenger %q; either an auditor of the plan draws the peer and is named as challenger, or the machine does and challenger is left out", c.By, c.Challenger)
	}
	a.peers = append(a.peers, c.Peer)
	a.key.Peer, a.key.peerHash = c, r.place()
	return nil
}

// CheckPeer checks a peer for the open key. A peer that was used before is refused:
// its private half is on the record. So is a P-256 peer that differs from an earlier
// one only in the sign of y, which gives the same secret.
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

// CheckScalar checks that a scalar is the private half of the open key's peer.
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
		return nil, fmt.Errorf("is not the private half of the peer that the key agreed with")
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
		a.fail("%s %s: its proof of possession: the answer is not the key's", a.key.HSM, a.key.Role)
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

// AnswerWith is the open key's answer, computed from the secret that its HSM agreed
// on.
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

// shown says that the key answered, and for a key that agrees, that its peer was
// opened so that the answer could be checked.
func (k *Key) shown() bool {
	return k.Possession != nil && (k.Use() == keys.Sign || k.Opened != nil)
}

// Nonce binds an answer to this key's intent, or for a key that agrees to its peer,
// and through the chain to the words that the witness chose at the opening. Nobody
// can know it beforehand.
func (k *Key) Nonce() [32]byte {
	after := k.IntentHash
	if k.Use() == keys.Agree {
		after = k.peerHash
	}
	return sha256.Sum256(fmt.Appendf(nil, "fleetctl nonce v1\n%x\n", after[:]))
}

// KeysOf are the keys for a use, without destroyed ones.
func (a *Account) KeysOf(use bundle.Use) (list []*Key) {
	for _, k := range a.Keys {
		if k.Use() == use {
			list = append(list, k)
		}
	}
	return list
}

// RolesOf are the plan's roles for a use.
func (p *Plan) RolesOf(use bundle.Use) (list []Role) {
	for _, r := range p.Roles {
		if r.Use == use {
			list = append(list, r)
		}
	}
	return list
}

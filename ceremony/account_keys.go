package ceremony

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// The results of an Unlock record; any other is a PKCS#11 return code.
const (
	UnlockOK      = "ok"
	UnlockRefused = "refused" // the login failed without a return code
)

// KeyIDSize is the size in bytes of the random CKA_ID that names a key.
const KeyIDSize = 16

func (a *Account) fail(format string, args ...any) {
	if a.Fault == "" {
		a.Fault = fmt.Sprintf(format, args...)
	}
}

func (a *Account) takeOpen(c *Open, r *Record) error {
	p := a.Plan
	if c.Mode != p.Mode || c.Fleet != p.Fleet || c.Namespace != p.Namespace || c.Epoch != p.Epoch {
		return fmt.Errorf("mode, fleet, namespace or epoch differ from the plan's")
	}
	if len(c.Words) != 3 {
		return fmt.Errorf("it has %d words; the witness chooses 3", len(c.Words))
	}
	if err := checkCeremonyID(p, c.Ceremony, r.Time); err != nil {
		return err
	}
	if c.ChosenBy != Witness && (c.ChosenBy != Machine || p.Mode != Rehearsal) {
		return fmt.Errorf("its words are chosen by %q; in a %s ceremony the witness chooses them", c.ChosenBy, p.Mode)
	}
	a.Open, a.openHash = c, r.place()
	return nil
}

func (a *Account) takeIntake(c *Intake) error {
	if err := a.mine(c.HSM); err != nil {
		return err
	}
	if want := a.Plan.HSM(c.HSM).Serial; c.Serial != want {
		a.fail("%s reports serial %q, the plan says %q", c.HSM, c.Serial, want)
	}
	if models := a.Plan.Models; models != nil && !slices.Contains(models, c.Model) {
		a.fail("%s reports the model %q, which is none of the plan's: %q", c.HSM, c.Model, models)
	}
	a.Intakes[c.HSM] = c
	return nil
}

func (a *Account) takeInventory(c *Inventory) error {
	if err := a.mine(c.HSM); err != nil {
		return err
	}
	if a.Plan.Destroys != nil {
		a.held[c.HSM] = c.Objects
		return nil
	}
	if len(c.Objects) > 0 {
		a.fail("the token of %s is not empty: %d objects", c.HSM, len(c.Objects))
	}
	a.empty[c.HSM] = len(c.Objects) == 0
	return nil
}

func (a *Account) takeIntent(c *Intent, r *Record) error {
	s := a.Steps[a.step]
	if err := a.mine(c.HSM); err != nil {
		return err
	}
	role := a.Plan.RoleIn(s.HSM, s.Role)
	if c.Role != s.Role || c.Algorithm != role.Algorithm {
		return fmt.Errorf("it is for role %q, %s; the step is for %q, %s", c.Role, c.Algorithm, s.Role, role.Algorithm)
	}
	if len(c.ID) != KeyIDSize {
		return fmt.Errorf("its CKA_ID has %d bytes, not %d", len(c.ID), KeyIDSize)
	}
	if len(a.ids) >= maxIntents {
		return fmt.Errorf("it is intent %d; a ceremony has at most %d", len(a.ids)+1, maxIntents)
	}
	if n, used := a.ids[string(c.ID)]; used {
		return fmt.Errorf("its CKA_ID was used at record %d", n)
	}
	a.ids[string(c.ID)] = r.N
	if want := a.Plan.Label(s); c.Label != want {
		return fmt.Errorf("its label is %q, not %q", c.Label, want)
	}
	want, _ := role.Template()
	if len(c.Template) != len(want) {
		return fmt.Errorf("its template is not the plan's")
	}
	for i, t := range c.Template {
		if t.Name != want[i].Name || t.Value != want[i].Value {
			return fmt.Errorf("its template has %s %t where the plan's has %s %t", t.Name, t.Value, want[i].Name, want[i].Value)
		}
	}
	a.key = &Key{HSM: c.HSM, Role: c.Role, N: r.N, Intent: c, IntentHash: r.place()}
	a.Keys = append(a.Keys, a.key)
	return nil
}

// at checks that a record is about the current step's key.
func (a *Account) at(intent int) error {
	if a.key == nil || a.key.N != intent {
		return fmt.Errorf("it is about intent %d, which is not the open one", intent)
	}
	return nil
}

func (a *Account) takeOutcome(c *Outcome) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	if c.Result != Generated {
		a.drop(a.key)
		return nil
	}
	if _, err := keys.ParseAs(a.key.Intent.Algorithm, c.PublicKey); err != nil {
		k, err := keys.ParseSPKI(c.PublicKey)
		if err != nil {
			return fmt.Errorf("its public key %v", err)
		}
		return fmt.Errorf("its public key is %s, the intent was %s", k.Algorithm(), a.key.Intent.Algorithm)
	}
	// A public key that was seen before is not newly generated, even if that key was
	// destroyed since.
	if other := a.made[string(c.PublicKey)]; other != nil {
		a.fail("%s %s has the key of %s %s, record %d", a.key.HSM, a.key.Role, other.HSM, other.Role, other.N)
	} else {
		a.made[string(c.PublicKey)] = a.key
	}
	if len(c.Dropped) > 0 {
		_, optional := a.Plan.RoleIn(a.key.HSM, a.key.Role).Template()
		for _, name := range c.Dropped {
			if !slices.Contains(optional, name) {
				a.fail("%s %s was generated without %s, which the plan requires", a.key.HSM, a.key.Role, name)
			}
		}
	}
	a.key.Outcome = c
	return nil
}

func (a *Account) drop(k *Key) {
	a.Keys = slices.DeleteFunc(slices.Clone(a.Keys), func(o *Key) bool { return o == k })
}

func (a *Account) takeAttributes(c *Attributes) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	a.key.Attributes = c
	if err := judgeAttributes(a.Plan.RoleIn(a.key.HSM, a.key.Role), a.key); err != nil {
		a.fail("%s %s: %v", a.key.HSM, a.key.Role, err)
	}
	return nil
}

func (a *Account) takeNegativeTest(c *NegativeTest) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	if c.Relaxed != nil && len(c.Relaxed.Names) == 0 {
		return fmt.Errorf("it says that the key was made weaker, and names no attempt that did it")
	}
	if c.Relaxed != nil && !slices.Equal(c.Relaxed.Names, succeeded(c.Attempts)) {
		return fmt.Errorf("it says that %s made the key weaker; these are not the attempts that succeeded", strings.Join(c.Relaxed.Names, ", "))
	}
	a.key.Attempts, a.key.Relaxed = c.Attempts, c.Relaxed
	if err := a.judgeRefusals(a.key); err != nil {
		a.fail("%s %s: %v", a.key.HSM, a.key.Role, err)
	}
	return nil
}

func (a *Account) takePossession(c *Possession) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	agrees := a.key.Use() == keys.Agree
	switch {
	case agrees && (c.Signature != nil || c.Answer == [32]byte{}):
		return fmt.Errorf("a key of kind %s proves possession by an answer, not by a signature", a.key.Intent.Algorithm)
	case !agrees && (c.Signature == nil || c.Answer != [32]byte{}):
		return fmt.Errorf("a key of kind %s proves possession by a signature, not by an answer", a.key.Intent.Algorithm)
	}
	a.key.Possession = c
	if agrees {
		return nil // takeAgreementOpened checks the answer
	}
	pub, err := keys.ParseAs(a.key.Intent.Algorithm, a.key.Outcome.PublicKey)
	if err != nil {
		return err
	}
	if err := pub.Verify(keys.ForPossession, a.PossessionText(a.key), c.Signature); err != nil {
		a.fail("%s %s: its proof of possession: %v", a.key.HSM, a.key.Role, err)
	}
	return nil
}

func (a *Account) takeFound(c *Found) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	k := a.key
	k.Found = c
	if c.PublicKey != sha256.Sum256(k.Outcome.PublicKey) {
		a.fail("%s %s: a new process found another public key", k.HSM, k.Role)
	}
	if err := a.JudgeInventory(k.HSM, c.Objects); err != nil {
		a.fail("%s %s: %v", k.HSM, k.Role, err)
	}
	return nil
}

// JudgeInventory demands that a token holds exactly the private and public halves
// of the keys generated in this HSM so far.
func (a *Account) JudgeInventory(hsm string, objects []Object) error {
	var want []string
	for _, k := range a.Keys {
		if k.HSM == hsm {
			id := hex.EncodeToString(k.Intent.ID)
			want = append(want, "private "+id, "public "+id)
		}
	}
	for _, o := range objects {
		name := o.Class + " " + hex.EncodeToString(o.ID)
		i := slices.Index(want, name)
		if i < 0 {
			return fmt.Errorf("the token holds the object %s, which this ceremony did not make", name)
		}
		want = slices.Delete(want, i, i+1)
	}
	if len(want) > 0 {
		return fmt.Errorf("a new process does not find the object %s", want[0])
	}
	return nil
}

// A key that agrees (ECDH, X25519, ML-KEM) can't sign a nonce. Its HSM proves that it
// holds the key by agreeing with a peer: a fresh key pair that somebody draws for it, of
// ML-KEM a ciphertext that is made for it from fresh random bytes. Only the private half
// of the key or of the peer gives the shared secret. The answer is thus a proof to whoever
// drew the peer and kept its private half, and to nobody else. Decapsulation never fails:
// another key gives another secret, and only the comparison finds it.

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
	_, err := a.scalar(scalar)
	return err
}

// PeerOf is the peer of a scalar, each in its one encoding, for this key.
func (k *Key) PeerOf(scalar []byte) ([]byte, error) {
	s, err := keys.ParseScalar(k.Intent.Algorithm, scalar)
	if err != nil {
		return nil, err
	}
	public, err := keys.ParseAs(k.Intent.Algorithm, k.Outcome.PublicKey)
	if err != nil {
		return nil, err
	}
	peer, err := s.Peer(public)
	if err != nil {
		return nil, err
	}
	return peer.Encode(), nil
}

func (a *Account) scalar(data []byte) (*keys.Scalar, error) {
	k := a.key
	s, err := keys.ParseScalar(k.Intent.Algorithm, data)
	if err != nil {
		return nil, err
	}
	peer, err := k.PeerOf(data)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(peer, k.Peer.Peer) {
		return nil, fmt.Errorf("is not the private half of the peer that the key agreed with")
	}
	// From one scalar two keys of ML-KEM get two ciphertexts, so CheckPeer doesn't see it.
	if slices.ContainsFunc(a.scalars, func(used []byte) bool { return bytes.Equal(used, data) }) {
		return nil, fmt.Errorf("was opened for another key of this ceremony already")
	}
	return s, nil
}

func (a *Account) takeAgreementOpened(c *AgreementOpened) error {
	if err := a.at(c.Intent); err != nil {
		return err
	}
	s, err := a.scalar(c.Scalar)
	if err != nil {
		return fmt.Errorf("its scalar %w", err)
	}
	a.key.Opened, a.scalars = c, append(a.scalars, c.Scalar)
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
	peer, err := s.Peer(p)
	if err != nil {
		return answer, err
	}
	return keys.AgreementAnswer(p, peer, secret, a.PossessionText(k))
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

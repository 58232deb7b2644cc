package passkey

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

const (
	relyingParty = "localhost" // a messenger has its own domain
	userSize     = 32
	saltSize     = 32
	prfSize      = 32
)

// party is the relying party of one run: it says what a browser is to do, and judges
// what comes back.
type party struct {
	w       *webauthn.WebAuthn
	record  *Record // what is known of the passkey so far
	create  bool    // a new one is wanted
	session *webauthn.SessionData
	doing   string // create or get: what the browser was asked
	prf     []byte // the result
}

// step is what the browser is to do next.
type step struct {
	Kind    string `json:"kind"` // create, get or done
	Options any    `json:"options,omitempty"`
}

func newParty(origin string, r *Record, create bool) (*party, error) {
	w, err := webauthn.New(&webauthn.Config{
		RPID: relyingParty, RPDisplayName: "fleetctl's reference fleet, not a vault", RPOrigins: []string{origin}, AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired},
	})
	return &party{w: w, record: r, create: create}, err
}

// The relying party's user, as the library asks for it.

func (p *party) WebAuthnID() []byte          { return p.record.User }
func (p *party) WebAuthnName() string        { return p.record.Account }
func (p *party) WebAuthnDisplayName() string { return p.record.Account }
func (p *party) WebAuthnCredentials() []webauthn.Credential {
	if p.record.Credential == nil {
		return nil
	}
	return []webauthn.Credential{{ID: p.record.Credential, PublicKey: p.record.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: p.record.BackupEligible}}}
}

// begin gives the first step: a new passkey, or the one that there is.
func (p *party) begin() (*step, error) {
	if !p.create || p.record.Credential != nil {
		return p.get()
	}
	c, session, err := p.w.BeginRegistration(p, webauthn.WithExtensions(webauthn.WithExtensionPRFSupport()))
	if err != nil {
		return nil, explained(err)
	}
	p.session, p.doing = session, "create"
	return &step{"create", c.Response}, nil
}

// get asks for the passkey, and for what its PRF makes of the salt.
func (p *party) get() (*step, error) {
	a, session, err := p.w.BeginLogin(p, webauthn.WithAssertionExtensions(webauthn.WithExtensionPRF(protocol.PRFValues{First: p.record.Salt})))
	if err != nil {
		return nil, explained(err)
	}
	p.session, p.doing = session, "get"
	return &step{"get", a.Response}, nil
}

// answer judges what the browser did, once, and gives the next step.
func (p *party) answer(kind string, body []byte) (*step, error) {
	session := p.session
	p.session = nil
	if session == nil || kind != p.doing {
		return nil, fmt.Errorf("the browser wasn't asked for %q now", kind)
	}
	if kind == "create" {
		return p.created(session, body)
	}
	return p.got(session, body)
}

func (p *party) created(session *webauthn.SessionData, body []byte) (*step, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(body)
	if err != nil {
		return nil, explained(err)
	}
	c, err := p.w.CreateCredential(p, *session, parsed)
	if err != nil {
		return nil, explained(err)
	}
	if prf := parsed.ClientExtensionResults.PRF; prf == nil || prf.Enabled == nil || !*prf.Enabled {
		return nil, errors.New("this passkey has no PRF, so that no key can be sealed under it: take another authenticator, or the recovery code")
	}
	p.record.Credential, p.record.PublicKey, p.record.BackupEligible = c.ID, c.PublicKey, c.Flags.BackupEligible
	return p.get()
}

func (p *party) got(session *webauthn.SessionData, body []byte) (*step, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(body)
	if err != nil {
		return nil, explained(err)
	}
	if _, err := p.w.ValidateLogin(p, *session, parsed); err != nil {
		return nil, explained(err)
	}
	out := parsed.ClientExtensionResults.PRF
	if out == nil || out.Results == nil || len(out.Results.First) != prfSize {
		return nil, errors.New("the browser gave no result of the passkey's PRF: take a browser that has it, or the recovery code")
	}
	p.prf = out.Results.First
	return &step{Kind: "done"}, nil
}

// explained is an error of the library with what it keeps apart.
func explained(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return fmt.Errorf("WebAuthn: %s: %s", e.Details, e.DevInfo)
	}
	return fmt.Errorf("WebAuthn: %w", err)
}

func draw(random io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	return b, nil
}

package testfleet

import (
	"time"

	"github.com/fleetctl/fleetctl/bundle"
)

// NoticeOf is a retirement or a void by a fleet's operator, changed before it is
// encoded.
func (f *Fleet) NoticeOf(format string, epoch uint64, previous [32]byte, change ...func(*bundle.Notice)) *bundle.Notice {
	n := &bundle.Notice{Format: format, Mode: bundle.Rehearsal, Fleet: f.Plan.Fleet, Namespace: f.Plan.Namespace, Epoch: epoch,
		Previous: previous, Created: f.Now(), Reason: "a test"}
	if format == bundle.RetirementFormat {
		n.Effective = new(f.Now().Add(time.Hour))
	}
	for _, c := range change {
		c(n)
	}
	return must(bundle.ParseNotice("notice.json", n.Encode()))
}

// Noticed is a notice's bundle, signed by a third party and countersigned by an
// operator, in the form given.
func (f *Fleet) Noticed(n *bundle.Notice, party, operator Signer, form string) []byte {
	raw, _ := party.Public.Ed25519()
	s := must(bundle.NewStatement(bundle.Protobuf, n.Namespace, uint64(f.Now().UnixMilli()), n.Epoch, n.Digest()))
	signed := []bundle.Signed{{Key: [32]byte(raw), Statement: must(s.Seal([32]byte(raw), must(party.Sign(s.Message()))))}}
	text := must(bundle.CountersignNotice(form, n, signed))
	return must(bundle.Assemble(n.Raw(), signed, []bundle.Countersignature{{Key: operator.Public, Form: form, Signature: must(operator.Sign(text))}}, nil)).Raw()
}

// before is the artifact that the fleet's follows; nil at epoch 1.
func (o Options) before() (*bundle.About, error) {
	b, err := o.bundleBefore()
	if b == nil {
		return nil, err
	}
	about := b.About()
	return &about, nil
}

// predecessor is that artifact's bytes, and the statements about it.
func (o Options) predecessor() ([]byte, []bundle.Signed, error) {
	b, err := o.bundleBefore()
	switch {
	case b == nil:
		return nil, nil, err
	case b.Notice != nil:
		return b.Notice.Raw(), b.Statements, nil
	}
	return b.KeySet.Raw(), o.After.Account.Statements(), nil
}

func (o Options) bundleBefore() (*bundle.Bundle, error) {
	switch {
	case o.Notice != nil:
		return bundle.ParseAny("notice", o.Notice)
	case o.After != nil:
		return o.After.Account.Bundle()
	}
	return nil, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

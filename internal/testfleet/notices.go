package testfleet

import (
	"time"

	"github.com/fleetctl/fleetctl/bundle"
)

// NoticeOf is a retirement or a void by a fleet's operator, changed before it is
// encoded.
func (f *Fleet) NoticeOf(format string, epoch uint64, previous [32]byte, change ...func(*bundle.Notice)) *bundle.Notice {
	n := &bundle.Notice{Format: format, Mode: bundle.Rehearsal, Fleet: f.Plan.Fleet, Namespace: Namespace, Epoch: epoch,
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

//go:build unix

package publish

import (
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// classicalHalf is a fleet's bundle as it is without its post-quantum signatures: the
// operator's classical key signed what is left.
func classicalHalf(t *testing.T, f *testfleet.Fleet) []byte {
	t.Helper()
	b := must(bundle.ParseBundle("", f.Files[ceremony.BundleFile]))(t)
	for i := range b.Statements {
		b.Statements[i].Addition = nil
	}
	op := f.Parties.Operator
	sig := must(op.Sign(bundle.CountersignText(b.KeySet, b.Statements)))(t)
	half := []bundle.Countersignature{{Key: op.Public, Form: bundle.FormBound, Signature: sig}}
	return must(bundle.Assemble(b.KeySet.Raw(), b.Statements, half, b.Transcript))(t).Raw()
}

func signersOf(f *testfleet.Fleet) *Signers {
	return &Signers{Now: f.Now(), Trust: func(string) (*bundle.Trust, error) { return f.Plan.Trust() }}
}

// An artifact is logged once: of a hybrid one a half must not be what is logged.
func TestAnIncompleteHybridBundleIsNotLogged(t *testing.T) {
	o := testfleet.Options{Name: "publish hybrid", HSMs: 1, PostQuantum: keys.MLDSA44}
	one := testfleet.New(t, o)
	o.Name, o.After = "publish hybrid 2", one
	two := testfleet.New(t, o)
	whole, half := one.Files[ceremony.BundleFile], classicalHalf(t, one)
	l := newLog(t)
	refused := func(by *Signers, leaf []byte, says string) {
		t.Helper()
		l.options.Signers = by
		_, err := l.Append(t.Context(), logSigner(t), leaf)
		wantRefusal(t, err, says)
	}
	logged := func(by *Signers, leaf []byte, again bool) {
		t.Helper()
		l.options.Signers = by
		if e := must(l.Append(t.Context(), logSigner(t), leaf))(t); e.Duplicate != again {
			t.Errorf("there before is %t", e.Duplicate)
		}
	}
	refused(nil, whole, "it has a post-quantum signature, and nothing says whose signatures this bundle must have")
	refused(signersOf(one), half, "auditor.example gave no post-quantum signature beside its statement")
	refused(signersOf(one), half, "operator-1 gave its classical countersignature, and no post-quantum one that counts")
	refused(signersOf(testfleet.New(t, testfleet.Options{Name: "another", HSMs: 1, To: -1})), whole, "is short: 0 of the 1 pinned third parties needed have signed")
	logged(signersOf(one), whole, false)
	logged(nil, whole, true) // to finish its proof takes no policy
	refused(nil, classicalHalf(t, two), "the bundle of epoch 1 before it, in this log, has a post-quantum signature, and nothing says")
	logged(signersOf(two), two.Files[ceremony.BundleFile], false)

	// Where nothing is post-quantum a log takes what it is given, as before.
	logged(nil, testfleet.New(t, testfleet.Options{Name: "publish classical", HSMs: 1, Namespace: "rehearsal.example.other.v1"}).Files[ceremony.BundleFile], false)
}

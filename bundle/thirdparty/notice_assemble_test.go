package thirdparty_test

import (
	"fmt"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestANoticeIsCountersignedOnlyWithApprovalsAndVerifiedAnswers(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	l, p, who := ledgerOf(t, f), policyWith(t, f, ""), officers(f)
	end := notice(f, bundle.RetirementFormat, 2, f.Account.Release.Artifact)
	ns := thirdparty.NoticeNamespace(end)
	by := approved(f, end, ns, who[:2]...)
	answer := must(thirdparty.SignNotice(must(thirdparty.InspectNotice("n", end, by, p, l)), l, f.Now(), f.Parties.ThirdParty.Sign))
	forged := *answer
	forged.Key = [32]byte(must(bundle.ParseResponse("r", answer.Raw())).Key)
	forged.Statement = must(bundle.NewStatement(bundle.Protobuf, end.Namespace, answer.Statement.Timestamp+1, 2, end.Digest()))
	forged.Statement.Signature = answer.Statement.Signature
	for name, c := range map[string]struct {
		by      []ceremony.Signing
		answers []*bundle.Response
		want    string
	}{
		"one officer":      {by[:1], []*bundle.Response{answer}, "notice.json: 1 of 2 officers of the plan approved it"},
		"another act":      {approved(f, end, "fleetctl-void-rehearsal", who[:2]...), []*bundle.Response{answer}, "is for"},
		"no answer":        {by, nil, "there is no statement to countersign"},
		"a forged answer":  {by, []*bundle.Response{&forged}, "signature"},
		"one of two wrong": {by, []*bundle.Response{answer, &forged}, "signature"},
	} {
		x, err := thirdparty.NewNoticeAssembly("notice.json", end, c.by, f.Plan, c.answers)
		if err == nil || x != nil {
			t.Errorf("%s: would be countersigned", name)
			continue
		}
		wantError(t, err, c.want)
	}

	x := must(thirdparty.NewNoticeAssembly("notice.json", end, by, f.Plan, []*bundle.Response{answer}))
	if fmt.Sprint(x.Officers) != fmt.Sprint(who[:2]) {
		t.Error(x.Officers)
	}
	op, other := f.Parties.Operator, testfleet.SoftSigner("ecdsa-p256", "another operator")
	by1 := func(s testfleet.Signer, text []byte) []bundle.Countersignature {
		return []bundle.Countersignature{{Key: s.Public, Form: x.Form(), Signature: must(s.Sign(text))}}
	}
	if _, err := x.Bundle(by1(other, x.Text), f.Now()); err == nil {
		t.Error("another operator's key countersigned")
	} else {
		wantError(t, err, "the key is not the plan's")
	}
	if _, err := x.Bundle(by1(op, []byte("another text")), f.Now()); err == nil {
		t.Error("a signature over another text became a bundle")
	}
	b := must(x.Bundle(by1(op, x.Text), f.Now()))
	if !b.Notice.Retires() || b.About().Epoch != 2 {
		t.Errorf("%+v", b.Notice)
	}
}

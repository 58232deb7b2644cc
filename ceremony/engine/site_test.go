package engine_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func FuzzParseSite(f *testing.F) {
	plan := testfleet.Prepared(f, testfleet.Options{HSMs: 1}).Plan
	f.Add([]byte("format: fleetctl site v1\nhsms:\n  - name: hsm-1\n    module: /m.so\n    token: t\n    pin: fd:3\n"))
	f.Add([]byte("terminal"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := engine.ParseSite("f", data, plan)
		if (s == nil) == (err == nil) {
			t.Fatalf("site %v with error %v", s, err)
		}
		if err == nil && (len(s.HSMs) != 1 || s.HSM("hsm-1") == nil) {
			t.Fatalf("%+v isn't the plan's site", s)
		}
		if p, err := engine.ParsePINSource(string(data)); err != nil && p != (engine.PINSource{}) {
			t.Fatal("a source came with the error")
		}
	})
}

func TestASiteFilesFaultsAreNamed(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	good := "format: fleetctl site v1\nhsms:\n"
	for i := 1; i <= 3; i++ {
		good += fmt.Sprintf("  - name: hsm-%d\n    module: /usr/lib/m%d.so\n    token: t%d\n    pin: file:/pin\n", i, i, i)
	}
	if s, err := engine.ParseSite("site.yaml", []byte(good), f.Plan); err != nil || s.HSM("hsm-2").Token != "t2" || s.HSM("hsm-9") != nil {
		t.Fatalf("%v", err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"site v1", "site v2", `site.yaml:1: format is "fleetctl site v2"`},
		{"hsm-2", "hsm-9", `site.yaml:7: hsm "hsm-9" is not in the plan`},
		{"hsm-2", "hsm-9", `hsm "hsm-2" of the plan is missing`},
		{"hsm-2", "hsm-1", `site.yaml:7: hsm "hsm-1" is there twice`},
		{"module: /usr/lib/m2", "module: m2", `site.yaml:7: hsm "hsm-2": module "m2.so" is not an absolute path`},
		{"/m2.so\n    token: t2\n    pin: file:/pin", "/m2.so\n    token: t2\n    pin: 123456", "pin is a number, not a string"},
		{"/m2.so\n    token: t2\n    pin: file:/pin", "/m2.so\n    token: t2\n    pin: \"123456\"", "is no source of a PIN"},
		{"token: t2", "tokn: t2", "tokn"},
		{"    token: t2\n", "", "token"},
	} {
		s, err := engine.ParseSite("site.yaml", []byte(strings.Replace(good, c.old, c.new, 1)), f.Plan)
		if wantError(t, err, c.want); s != nil || strings.Contains(fmt.Sprint(err), "123456") {
			t.Errorf("%q: a site came with the error, or what may be a PIN is repeated", c.new)
		}
	}
}

// Tokens whose serials can't tell them apart are told apart by their labels.
func TestTokensOfOneSerialHaveLabelsOfTheirOwn(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 2, Attested: true})
	text := "format: fleetctl site v1\nhsms:\n  - {name: hsm-1, module: /m.so, token: a, pin: terminal}\n  - {name: hsm-2, module: /m.so, token: b, pin: terminal}\n"
	if _, err := engine.ParseSite("site.yaml", []byte(text), f.Plan); err != nil {
		t.Fatal(err)
	}
	_, err := engine.ParseSite("site.yaml", []byte(strings.Replace(text, "token: b", "token: a", 1)), f.Plan)
	wantError(t, err, `site.yaml:4: hsm "hsm-2" is the same token as hsm "hsm-1": module, label and serial`)
}

func TestPINSources(t *testing.T) {
	for text, want := range map[string]engine.PINSource{
		"terminal": {Kind: engine.PINTerminal}, "protected": {Kind: engine.PINProtected},
		"file:/a/b": {Kind: engine.PINFile, Path: "/a/b"}, "fd:3": {Kind: engine.PINFD, FD: 3},
	} {
		if got, err := engine.ParsePINSource(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1234", "pin:1234", "file:pin", "file:", "fd:2", "fd:-1", "fd:", "fd:70000", "terminal:", "protected:x", "env:PIN", "FILE:/a"} {
		if got, err := engine.ParsePINSource(text); err == nil || got != (engine.PINSource{}) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// A path or label has any letters: what is written is read back.
func TestASiteFileIsReadAsItWasWritten(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	s := &engine.Site{}
	for i, odd := range []string{`a: b #"c\d`, "tab\tnew\nline", "\u202e\ufeff\u2028\u00a0\x7f\U0001f511"} {
		s.HSMs = append(s.HSMs, engine.SiteHSM{Name: fmt.Sprintf("hsm-%d", i+1), Module: "/" + odd, Token: odd, PIN: "file:/" + odd, InitArgs: odd})
		s.HSMs[i].TPM = &engine.SiteTPM{TCTI: odd, Store: "/" + odd, AKCertificates: "/" + odd}
	}
	s.HSMs[0].TPM.EKCertificates = "/" + s.HSMs[0].Token
	s.HSMs[1].TPM = nil
	data, err := s.Write()
	if err != nil {
		t.Fatal(err)
	}
	got, err := engine.ParseSite("site.yaml", data, f.Plan)
	if err != nil || !reflect.DeepEqual(got.HSMs, s.HSMs) {
		t.Errorf("%v\n%s", err, data)
	}
	s.HSMs[0].TPM.AKCertificates = "ak.pem"
	if data, err = s.Write(); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.ParseSite("site.yaml", data, f.Plan); err == nil || !strings.Contains(err.Error(), `hsm "hsm-1": tpm: ak_certificates "ak.pem" is not an absolute path`) {
		t.Errorf("a file found from wherever the program stands: %v", err)
	}
	f = testfleet.Prepared(t, testfleet.Options{Attested: true})
	f.Site.HSMs[1].TPM = &engine.SiteTPM{TCTI: "device:/dev/tpmrm0", Store: "/store"}
	if data, err = f.Site.Write(); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.ParseSite("site.yaml", data, f.Plan); err == nil || !strings.Contains(err.Error(), `hsm "hsm-2": tpm: by the plan it attests its keys, and ak_certificates is missing`) {
		t.Errorf("a TPM that can't attest: %v", err)
	}
	f = testfleet.Prepared(t, testfleet.Options{Agreement: ceremony.AgreementTPM, Roles: []draft.Role{{Name: "sealing", Algorithm: keys.ECDHP256}}})
	f.Site.HSMs[2].TPM = nil
	if data, err = f.Site.Write(); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.ParseSite("site.yaml", data, f.Plan); err == nil || !strings.Contains(err.Error(), `hsm "hsm-3": by the plan its keys agree by its TPM, and the way to that is missing`) {
		t.Errorf("a TPM that can't be reached: %v", err)
	}
}

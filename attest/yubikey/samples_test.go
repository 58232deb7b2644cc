package yubikey

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
)

func file(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func certificates(t testing.TB, data []byte) []*x509.Certificate {
	t.Helper()
	list, err := attest.ParseCertificates(data)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// yubico is the list that comes with fleetctl.
func yubico(t testing.TB) *attest.Anchors {
	t.Helper()
	a, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func evidence(leaf, above []byte) *attest.Evidence {
	e := &attest.Evidence{Format: Format, Parts: []attest.Part{{Name: PartAttestation, Data: leaf}}}
	if above != nil {
		e.Parts = append(e.Parts, attest.Part{Name: PartCertificates, Data: above})
	}
	return e
}

// samples are real cards' attestations of keys in slot 9c.
func samples(t *testing.T) (list []at.Sample) {
	for _, c := range []struct{ folder, serial, leaf, f9, firmware, touch, form string }{
		{"yubikey-docker-tuf", "25515003", "Slot9CAttestation.pem", "SlotF9Intermediate.pem", "5.4.3", "never", "USB-C keychain, FIPS series"},
		{"yubikey-docker-tuf", "25515139", "Slot9CAttestation.pem", "SlotF9Intermediate.pem", "5.4.3", "never", "USB-C keychain, FIPS series"},
		{"yubikey-docker-tuf", "25515264", "Slot9CAttestation.pem", "SlotF9Intermediate.pem", "5.4.3", "never", "USB-C keychain, FIPS series"},
		{"yubikey-docker-tuf", "25515985", "Slot9CAttestation.pem", "SlotF9Intermediate.pem", "5.4.3", "never", "USB-C keychain, FIPS series"},
		{"yubikey-docker-tuf", "25599865", "Slot9CAttestation.pem", "SlotF9Intermediate.pem", "5.4.3", "never", "USB-C keychain, FIPS series"},
		{"yubikey-docker-tuf", "28751259", "Slot9CAttestation.pem", "SlotF9Intermediate.pem", "5.4.3", "never", "USB-C keychain, FIPS series"},
		{"yubikey-sigstore", "13078778", "13078778_key_cert.pem", "13078778_device_cert.pem", "5.2.6", "always", "USB-C keychain"},
		{"yubikey-sigstore", "15938765", "15938765_key_cert.pem", "15938765_device_cert.pem", "5.2.7", "always", "USB-C keychain"},
	} {
		leaf := file(t, c.folder, c.serial, c.leaf)
		d := at.Kept(attest.Anchored, certificates(t, leaf)[0].RawSubjectPublicKeyInfo, c.serial)
		d.Sign, d.Understood, d.LeastFirmware = true, true, "5.2.6"
		list = append(list, at.Sample{
			Name: "card " + c.serial + " (" + strings.TrimPrefix(c.folder, "yubikey-") + ")", Level: attest.Anchored,
			Case: at.Case{Input: attest.Input{Evidence: evidence(leaf, file(t, c.folder, c.serial, c.f9)), Anchors: yubico(t), At: at.At}, Demand: d},
			Claims: func(t *testing.T, claims *attest.Claims) {
				if claims.Platform.Firmware != c.firmware || claims.Key.Identifier != "9c" {
					t.Errorf("firmware %s, slot %s", claims.Platform.Firmware, claims.Key.Identifier)
				}
				for _, d := range []attest.Detail{{Name: "PIN policy", Value: "always"}, {Name: "touch policy", Value: c.touch}, {Name: "form factor", Value: c.form}} {
					if got := detail(claims, d.Name); got != d.Value {
						t.Errorf("%s is %q, want %q", d.Name, got, d.Value)
					}
				}
			},
		})
	}
	return list
}

func detail(c *attest.Claims, name string) string {
	for _, d := range c.Details {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

// folderLies is a real attestation whose folder is called 12345678: the card's
// serial is another.
func folderLies(t *testing.T) at.Hostile {
	dir := []string{"yubikey-docker-tuf-negative", "12345678"}
	leaf := file(t, append(dir, "Slot9CAttestation.pem")...)
	in := attest.Input{Evidence: evidence(leaf, file(t, append(dir, "SlotF9Intermediate.pem")...)), Anchors: yubico(t), At: at.At}
	spki := certificates(t, leaf)[0].RawSubjectPublicKeyInfo
	return at.Hostile{Kind: at.WrongIdentity, Name: "a real card's under the name of another", Want: "identity: the evidence is of device 26551025, and 12345678 is demanded",
		Case: at.Case{Input: in, Demand: at.Kept(attest.Anchored, spki, "12345678")}, Twin: at.Case{Input: in, Demand: at.Kept(attest.Anchored, spki, "26551025")}}
}

func TestALeafWithoutItsF9IsVendorSignedAtMost(t *testing.T) {
	claims, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(file(t, "yubikey-5.7.4-p256-leaf.pem"), nil), Anchors: yubico(t), At: at.At})
	if err != nil || claims.Level != attest.VendorSigned || claims.Platform.Firmware != "5.7.4" || claims.Platform.Identity != "36345471" {
		t.Fatalf("%+v, %v", claims, err)
	}
	got := attest.Judge(claims, at.Kept(attest.Anchored, claims.Key.SPKI, "36345471"))
	if len(got) != 1 || got[0].Name != "level" || !strings.Contains(got[0].What, "no key that is pinned for yubikey-piv issued") {
		t.Errorf("%v", got)
	}
}

// Of firmware 5.7.4 no card's f9 was published, but Yubico's authorities were:
// each of the PIV ones has to stand under its intermediate and the root, and the
// other applications' ones must be refused.
func TestYubicosPIVAuthoritiesAloneCarryAnF9(t *testing.T) {
	inter := map[string][]byte{}
	list, err := attestCertificates(t, "yubico-attestation-intermediates.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range list {
		inter[name] = raw
	}
	for name, want := range map[string]string{
		"Yubico PIV Attestation A 1":   "",
		"Yubico PIV Attestation B 1":   "",
		"Yubico PIV Attestation B2 1":  "",
		"Yubico OPGP Attestation A 1":  "they should be the card's f9, a PIV authority",
		"Yubico SD Attestation B2 1":   "they should be the card's f9, a PIV authority",
		"Yubico FIDO Attestation B 1":  "they should be the card's f9, a PIV authority",
		"YubiHSM Attestation B2 1":     "they should be the card's f9, a PIV authority",
		"Yubico Attestation Root 1":    "they should be the card's f9, a PIV authority",
		"Yubico PIV Attestation A 1 ":  "they should be the card's f9, a PIV authority",
		"Yubico PIV Attestation\x00 1": "they should be the card's f9, a PIV authority",
	} {
		mid := "Yubico Attestation Intermediate B 1"
		if strings.Contains(name, " A 1") {
			mid = "Yubico Attestation Intermediate A 1"
		}
		if real, ok := inter[name]; ok && want == "" {
			path, err := attest.Chain{Format: Format, Certs: parsed(t, real, inter[mid])}.Verify(yubico(t), at.At)
			if err != nil || path.Anchor == nil || path.Anchor.Name != newRoot {
				t.Errorf("%s: %v, %v", name, path, err)
			}
		}
		err := checkAbove(parsed(t, f9Named(t, "YubiKey PIV Attestation 9c"), f9Named(t, "YubiKey PIV Attestation"), f9Named(t, name), f9Named(t, mid), f9Named(t, newRoot)), &attest.Claims{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}

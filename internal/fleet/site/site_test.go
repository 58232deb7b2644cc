package site_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

func good() string {
	text := "format: fleetctl fleet-site v1\nnodes:\n"
	for i := 1; i <= 3; i++ {
		text += fmt.Sprintf("  - hsm: hsm-%d\n    module: /usr/lib/m.so\n    token: t%d\n    pin: file:/pin\n    address: 127.0.0.1:710%d\n    peers: 127.0.0.1:720%d\n    dir: /srv/%d\n    anchor: token\n", i, i, i, i, i)
	}
	return text
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good()))
	f.Add([]byte(strings.Replace(good(), "anchor: token", "anchor: tpm:0x01800f1e\n    tpm: {tcti: \"swtpm:port=1\", store: /s}", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := site.Parse("f", data)
		if (s == nil) == (err == nil) {
			t.Fatalf("site %v with error %v", s, err)
		}
		if err != nil {
			return
		}
		again, err := site.Parse("again", s.Encode())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("written and read, %+v is %+v: %v", s, again, err)
		}
	})
}

func FuzzParsePlace(f *testing.F) {
	f.Add("tpm:0x01800f1e")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := site.ParsePlace(text)
		if err != nil {
			if p != (site.Place{}) {
				t.Fatal("a place came with the error")
			}
			return
		}
		if again, err := site.ParsePlace(p.String()); err != nil || again != p {
			t.Fatalf("%q is read as %+v, and that as %+v: %v", text, p, again, err)
		}
	})
}

func TestTheFaultsOfASiteFileAreNamed(t *testing.T) {
	if s, err := site.Parse("site.yaml", []byte(good())); err != nil || s.Node("hsm-2").Token != "t2" || s.Node("hsm-9") != nil || s.Node("hsm-1").Runs() != nil {
		t.Fatalf("%v", err)
	}
	s, err := site.Parse("site.yaml", []byte(strings.Replace(good(), "    dir: /srv/2", "    listen: 127.0.0.1:0\n    dir: /srv/2", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if devices, peers := s.Node("hsm-2").ListenAt(); devices != "127.0.0.1:0" || peers != "127.0.0.1:7202" {
		t.Errorf("listens at %s and %s", devices, peers)
	}
	for _, c := range []struct{ old, new, want string }{
		{"fleet-site v1", "fleet-site v2", `format is "fleetctl fleet-site v2"`},
		{"hsm: hsm-2", "hsm: hsm-1", `site.yaml:11: node "hsm-1": is there twice`},
		{"token: t2", "token: t1", `has the token of node "hsm-1"`},
		{"127.0.0.1:7102", "127.0.0.1:7101", `has an address of node "hsm-1"`},
		{"127.0.0.1:7202", "127.0.0.1:7101", `has an address of node "hsm-1"`},
		{"127.0.0.1:7201", "127.0.0.1:7101", `devices and nodes reach it at one address`},
		{"    dir: /srv/2", "    listen: 127.0.0.1\n    dir: /srv/2", `listen "127.0.0.1" is no HOST:PORT`},
		{"127.0.0.1:7102", "127.0.0.1", `address "127.0.0.1" is no HOST:PORT`},
		{"127.0.0.1:7102", "127.0.0.1:0", `is no HOST:PORT`},
		{"127.0.0.1:7102", ":7102", `is no HOST:PORT`},
		{"dir: /srv/2", "dir: /srv/1", `has the folder of node "hsm-1"`},
		{"dir: /srv/2", "dir: srv", `dir "srv" is not an absolute path`},
		{"module: /usr", "module: usr", `is not an absolute path`},
		{"pin: file:/pin", "pin: \"123456\"", "is no source of a PIN"},
		{"anchor: token", "anchor: disk", `anchor is "disk", and no place of one`},
		{"anchor: token", "anchor: tpm:0x01800f1e", "the way to that is missing"},
		{"anchor: token", "anchor: tpm:0x81000001\n    tpm: {tcti: x, store: /s}", "no place of one"},
		{"    address: 127.0.0.1:7101\n", "", "address"},
		{"token: t1", "tokn: t1", "tokn"},
	} {
		s, err := site.Parse("site.yaml", []byte(strings.Replace(good(), c.old, c.new, 1)))
		if s != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "123456") {
			t.Errorf("%q: got %v, want %q", c.new, err, c.want)
		}
	}
	if _, err := site.Parse("site.yaml", []byte("format: fleetctl fleet-site v1\nnodes: []\n")); err == nil || !strings.Contains(err.Error(), "has 0 nodes") {
		t.Errorf("a fleet of no node: %v", err)
	}
}

func TestANodeIsRunOnlyWithTokenFolderAndAnchor(t *testing.T) {
	for _, field := range []string{"module: /usr/lib/m.so", "token: t1", "pin: file:/pin", "dir: /srv/1", "anchor: token"} {
		s, err := site.Parse("site.yaml", []byte(strings.Replace(good(), "    "+field+"\n", "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(field, ":")
		if err := s.Node("hsm-1").Runs(); err == nil || !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestASiteFileHasTheBundlesHSMsAndNoOther(t *testing.T) {
	s, err := site.Parse("site.yaml", []byte(good()))
	if err != nil {
		t.Fatal(err)
	}
	k := &bundle.KeySet{Fleet: "f", Epoch: 1}
	for _, hsm := range []string{"hsm-1", "hsm-2", "hsm-3"} {
		k.Keys = append(k.Keys, bundle.FleetKey{HSM: hsm, Role: "session"})
	}
	if err := s.Matches(k); err != nil {
		t.Fatal(err)
	}
	k.Keys[1].HSM = "hsm-9"
	err = s.Matches(k)
	for _, want := range []string{`hsm "hsm-9" of the bundle has no node`, `node "hsm-2" has no key in the bundle of f, epoch 1`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

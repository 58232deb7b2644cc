package session

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// typed is a terminal at which somebody types these lines.
func typed(t *testing.T, said *bytes.Buffer, lines ...string) atTerminal {
	t.Helper()
	a := cli.New(strings.NewReader(strings.Join(lines, "\n")+"\n"), io.Discard, said)
	out, err := ui.New(ui.Options{Stdin: a.Stdin, Stdout: io.Discard, Stderr: said})
	if err != nil {
		t.Fatal(err)
	}
	a.UI = out
	return newAtTerminal(a)
}

func TestAnAuditorTypesWhatTheirOwnScreenShows(t *testing.T) {
	kept := &challenge.Kept{}
	peer, err := kept.Draw(keys.ECDHP256, nil, bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	answer := [32]byte{1, 2}
	scalar, err := kept.Open(answer[:])
	if err != nil {
		t.Fatal(err)
	}
	q := engine.AgreementQuestion{
		Plan: &ceremony.Plan{People: []ceremony.Person{{Name: "olga", Role: ceremony.Officer}, {Name: "ada", Role: ceremony.Auditor}}},
		Step: ceremony.Step{HSM: "hsm-1", Role: "sealing"}, Algorithm: keys.ECDHP256,
		Peer:   func(b []byte) error { _, err := keys.ParsePeer(keys.ECDHP256, b); return err },
		Scalar: func(b []byte) error { _, err := keys.ParseScalar(keys.ECDHP256, b); return err },
	}
	good := challenge.Code(challenge.Peer, peer)
	var said bytes.Buffer
	r := typed(t, &said, "no code", good[:len(good)-1]+"x", challenge.Code(challenge.Scalar, peer), challenge.Code(challenge.Peer, make([]byte, 33)), strings.ToUpper(good))
	got, who, by, err := r.Peer(t.Context(), q)
	if err != nil || !bytes.Equal(got, peer) || who != "ada" || by != ceremony.Auditor {
		t.Fatalf("%x by %s, %s: %v", got, who, by, err)
	}
	for _, want := range []string{"fleetctl ceremony agreement challenge KEPT --algorithm ecdh-p256", "is no code of the peer", "is no compressed point of P-256"} {
		if !strings.Contains(strings.Join(strings.Fields(said.String()), " "), want) {
			t.Errorf("it doesn't say %q:\n%s", want, said.String())
		}
	}
	// Of several auditors each says who they are.
	q.Plan.People = append(q.Plan.People, ceremony.Person{Name: "abe", Role: ceremony.Auditor})
	if _, who, _, err = typed(t, &said, good, "olga", "abe").Peer(t.Context(), q); err != nil || who != "abe" {
		t.Errorf("%s, %v", who, err)
	}
	got, who, by, err = typed(t, &said, "Machine").Peer(t.Context(), q)
	if err != nil || got != nil || who != "" || by != ByMachine {
		t.Errorf("%x, %q, %q, %v", got, who, by, err)
	}
	if _, _, _, err = typed(t, &said, "stop").Peer(t.Context(), q); err == nil {
		t.Error("stop doesn't stop")
	}
	said.Reset()
	told, err := typed(t, &said, good, challenge.Code(challenge.Scalar, make([]byte, 32)), challenge.Code(challenge.Scalar, scalar)).Opened(t.Context(), q, answer)
	if err != nil || !bytes.Equal(told, scalar) {
		t.Errorf("%x, %v", told, err)
	}
	if flat := strings.Join(strings.Fields(said.String()), " "); !strings.Contains(flat, challenge.Code(challenge.Answer, answer[:])) || !strings.Contains(flat, "is no private half of a peer") {
		t.Errorf("%s", said.String())
	}
}

// What a second screen shows comes as a picture that is carried, and where the ceremony
// stands goes to it as a code: nobody types hex.
func TestAPeerIsCarriedAsAPictureAndTheStateAsACode(t *testing.T) {
	kept := &challenge.Kept{}
	peer, err := kept.Draw(keys.ECDHP256, nil, bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	at := state.State{Record: 7, Head: [32]byte{1}, Step: 3, Wants: state.Peer}
	q := engine.AgreementQuestion{
		Plan: &ceremony.Plan{People: []ceremony.Person{{Name: "ada", Role: ceremony.Auditor}}}, Algorithm: keys.ECDHP256,
		Peer:  func([]byte) error { return nil },
		State: func() (state.State, error) { return at, nil },
	}
	png, err := qr.PNG(strings.ToUpper(challenge.Code(challenge.Peer, peer)))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"peer.png": png, "peer.txt": []byte(challenge.Code(challenge.Peer, peer) + "\n"), "no.png": []byte("\x89PNG\r\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"peer.png", "peer.txt"} {
		var said bytes.Buffer
		got, _, _, err := typed(t, &said, "QR", filepath.Join(dir, "no.png"), filepath.Join(dir, file)).Peer(t.Context(), q)
		if err != nil || !bytes.Equal(got, peer) {
			t.Errorf("%s: %x, %v\n%s", file, got, err, said.String())
		}
		modules, err := qr.Modules(at.String())
		if err != nil {
			t.Fatal(err)
		}
		out, err := ui.New(ui.Options{Stdout: io.Discard, Stderr: &said})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), out.Talk.Code(modules, at.String())) || !strings.Contains(strings.Join(strings.Fields(said.String()), " "), "is no PNG or JPEG image") {
			t.Errorf("%s", said.String())
		}
	}
}

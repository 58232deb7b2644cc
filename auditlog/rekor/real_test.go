package rekor

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestRealServerLogsABundleOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		c := s.client(t, Options{})
		bundle := bundleOf(t, 3000)
		envelope := envelopeOf(bundle)
		first, err := c.Append(context.Background(), bundle, envelope, submitter(t))
		if err != nil {
			t.Fatal(err)
		}
		if first.Existed {
			t.Error("a new bundle was there before")
		}
		// Its file is what a verifier reads.
		e, err := auditlog.ParseRekorEntry("bundle.json.rekor.json", first.Entry.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.log.Verify(bundle, e, []*keys.Public{submitter(t)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if in.Index != first.Inclusion.Index || (in.Integrated.IsZero()) == (s.version == 1) {
			t.Errorf("%+v", in)
		}
		// Other entries come; the same envelope is found where it was.
		for range 3 {
			other := bundleOf(t, 100)
			if _, err := c.Append(context.Background(), other, envelopeOf(other), submitter(t)); err != nil {
				t.Fatal(err)
			}
		}
		again, err := c.Append(context.Background(), bundle, envelope, submitter(t))
		if err != nil {
			t.Fatal(err)
		}
		if !again.Existed || again.Inclusion.Index != in.Index || again.Inclusion.Size <= in.Size || !again.Inclusion.Integrated.Equal(in.Integrated) {
			t.Errorf("logged again: %v, %+v", again.Existed, again.Inclusion)
		}
	})
}

// The largest bundle there may be, and one byte.
func TestRealServerTakesBundlesOfAnySize(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		for _, size := range []int{1, 65535} {
			bundle := bundleOf(t, size)
			if _, err := s.client(t, Options{}).Append(context.Background(), bundle, envelopeOf(bundle), submitter(t)); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	})
}

func TestRealServerTakesManyAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		c := s.client(t, Options{})
		same := bundleOf(t, 500)
		envelope := envelopeOf(same)
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen, fresh := map[uint64]int{}, 0
		for i := range 16 {
			bundle, env := bundleOf(t, 500), []byte(nil)
			if env = envelopeOf(bundle); i%2 == 0 {
				bundle, env = same, envelope
			}
			wg.Go(func() {
				r, err := c.Append(context.Background(), bundle, env, submitter(t))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				if !r.Existed {
					fresh++
				}
				seen[r.Inclusion.Index]++
			})
		}
		wg.Wait()
		if len(seen) != 9 {
			t.Errorf("8 bundles and 8 times one bundle took %d places, %d of them new: %v", len(seen), fresh, seen)
		}
	})
}

func TestRealServerRefusesWhatIsTooLarge(t *testing.T) {
	s := realServer(t, 1) // version 2 is sent a digest, whatever the size
	bundle := bundleOf(t, 300_000)
	_, err := s.client(t, Options{}).Append(context.Background(), bundle, envelopeOf(bundle), submitter(t))
	wantKind(t, err, errTooLarge)
}

func TestRealServerOfTheOtherVersionIsNamed(t *testing.T) {
	v1, v2 := realServer(t, 1), realServer(t, 2)
	bundle := bundleOf(t, 100)
	for _, c := range []*Client{v1.client(t, Options{URL: v2.url}), v2.client(t, Options{URL: v1.url})} {
		_, err := c.Append(context.Background(), bundle, envelopeOf(bundle), submitter(t))
		wantKind(t, err, errRefused)
		wantHint(t, err, "of this version")
	}
}

func TestRealServerWithAnotherKeyIsNamed(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		other, err := auditlog.NewRekorLog(s.version, s.origin, strangersKey(t, s.version))
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(other, Options{URL: s.url})
		if err != nil {
			t.Fatal(err)
		}
		bundle := bundleOf(t, 100)
		_, err = c.Append(context.Background(), bundle, envelopeOf(bundle), submitter(t))
		wantKind(t, err, errKeyChanged)
		wantHint(t, err, "over another channel")
	})
}

// rekor-cli reads our entry back: by its own code, under the same key.
func TestOurEntryIsReadByRekorCLI(t *testing.T) {
	s := realServer(t, 1)
	bundle := bundleOf(t, 3000)
	envelope := envelopeOf(bundle)
	r, err := s.client(t, Options{}).Append(context.Background(), bundle, envelope, submitter(t))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir() // rekor-cli keeps the last checkpoint that it saw there
	cli := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command(s.cli, append(args, "--rekor_server", s.url, "--format", "json")...)
		cmd.Env = append(os.Environ(), "HOME="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("rekor-cli %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	index := jsonNumber(r.Inclusion.Index)
	var got struct {
		LogIndex       int
		IntegratedTime int64
		LogID          string
		Body           struct {
			DSSEObj struct {
				EnvelopeHash, PayloadHash struct{ Value string }
			}
		}
	}
	if out := cli("get", "--log-index", index); json.Unmarshal(out, &got) != nil {
		t.Fatalf("%s", out)
	}
	if d := got.Body.DSSEObj; d.EnvelopeHash.Value != hexDigest(envelope) || d.PayloadHash.Value != hexDigest(bundle) ||
		uint64(got.LogIndex) != r.Inclusion.Index || got.IntegratedTime != r.Inclusion.Integrated.Unix() {
		t.Errorf("rekor-cli reads %+v", got)
	}
	if out := cli("verify", "--log-index", index); !bytes.Contains(out, []byte(hexOf(r.Inclusion.Root))) && !bytes.Contains(out, []byte("RootHash")) {
		t.Errorf("rekor-cli verify says %s", out)
	}
	// And uploads the very envelope itself: the server says that it is there.
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	out := cli("upload", "--type", "dsse", "--artifact", write("envelope.json", envelope), "--public-key", write("key.pem", pemOf(submitter(t))), "--pki-format", "x509")
	if !bytes.Contains(bytes.ToLower(out), []byte("already")) || !bytes.Contains(out, []byte(leafHash(r.Entry.Body))) {
		t.Errorf("rekor-cli upload says %s", out)
	}
}

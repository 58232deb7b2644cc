package submit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history/fetch"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
	"github.com/fleetctl/fleetctl/internal/testauditor"
)

const ns = "rehearsal.example.fleet_keys.v1"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var digest = sha256.Sum256([]byte("artifact"))

// submission is one to a stand-in; no waiting takes time, and what was waited for is
// in waited.
func submission(t *testing.T, a *testauditor.Auditor) (s *Submission, waited *[]time.Duration) {
	t.Helper()
	c := must(fetch.New(a.URL, ns, "test", 1000))
	pair := must(tls.LoadX509KeyPair(a.Files.Client, a.Files.ClientKey))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(a.Files.CA)))
	c.Identify(&pair, pool)
	waited = new([]time.Duration)
	c.Wait = func(_ context.Context, d time.Duration) error {
		if d >= time.Second { // shorter is the rate, which a busy machine stretches
			*waited = append(*waited, d)
		}
		return nil
	}
	return &Submission{
		Dir: filepath.Join(t.TempDir(), "submissions"), Party: "cloudflare", Key: keyOf(a), Client: c, Epoch: 1, Digest: digest,
		Now: func() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) },
	}, waited
}

func keyOf(a *testauditor.Auditor) [32]byte { return [32]byte(a.Key.Public().(ed25519.PublicKey)) }

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v; it should mention %q", err, text)
	}
}

func files(t *testing.T, s *Submission) (list []string) {
	t.Helper()
	for _, e := range must(os.ReadDir(s.Dir)) {
		if !strings.HasSuffix(e.Name(), ".lock") {
			list = append(list, e.Name())
		}
	}
	return list
}

func TestTheAnswerToASubmissionIsTheStatement(t *testing.T) {
	for _, suite := range []uint32{1, 2} {
		a := testauditor.Start(t, t.TempDir(), "good", suite)
		s, _ := submission(t, a)
		r, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Statement.Digest != digest || r.Statement.Ciphersuite != suite || r.Key != keyOf(a) || s.Kept != "" {
			t.Errorf("%+v", r.Statement)
		}
		if asked := a.Asked(); asked != "GET POST" {
			t.Errorf("it asked %s", asked)
		}
		// Again it is found: nothing is submitted a second time.
		told := ""
		s.Told = func(what string) { told = what }
		again, err := s.Run(t.Context())
		if err != nil || string(again.Raw()) != string(r.Raw()) {
			t.Errorf("%v", err)
		}
		if asked := a.Asked(); asked != "GET" || !strings.Contains(told, "submitted before, at 2026-11-30T12:00:00Z") {
			t.Errorf("it asked %s and said %q", asked, told)
		}
	}
}

func TestWhatIsSentIsOnDiskBefore(t *testing.T) {
	a := testauditor.Start(t, t.TempDir(), "disk", 1)
	s, _ := submission(t, a)
	var seen []byte
	a.Misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			seen, _ = os.ReadFile(s.path())
		}
		return false
	})
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	st, err := parseState("state", seen)
	if err != nil || st.Digest != digest || st.Epoch != 1 || st.Address != a.URL {
		t.Errorf("when it was sent there was %q: %v", seen, err)
	}
	// Where it can't be written, nothing is sent.
	a.Asked()
	s.Dir = filepath.Join(a.Files.CA, "folder")
	if _, err := s.Run(t.Context()); err == nil || a.Asked() != "" {
		t.Errorf("%v", err)
	}
}

func TestWhatWasSentIsKnownAfterAPowerCut(t *testing.T) {
	a := testauditor.Start(t, t.TempDir(), "power", 1)
	for seed := range uint64(8) {
		disk := simdisk.New(t, seed)
		s, _ := submission(t, a)
		s.Dir = disk.Path("ceremony", "private", "submissions")
		a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusAccepted)
			}
			return r.Method == http.MethodPost
		})
		_, err := s.Run(t.Context())
		if p := (*Pending)(nil); !errors.As(err, &p) || !strings.HasSuffix(a.Asked(), "POST") {
			t.Fatal(err)
		}
		disk.Cut()
		data, err := durable.ReadFile(s.path())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if st, err := parseState("state", data); err != nil || st.Digest != digest {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// The auditor took it, and its answer was lost: it is found, and not sent again.
func TestAnInterruptedSubmissionIsFoundAgain(t *testing.T) {
	for name, lose := range map[string]func(w http.ResponseWriter){
		"cut off": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"500":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"409":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusConflict) },
	} {
		a := testauditor.Start(t, t.TempDir(), "lost", 1)
		s, _ := submission(t, a)
		a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				must(a.Sign(ns, 1, digest[:]))
				lose(w)
				return true
			}
			return false
		})
		r, err := s.Run(t.Context())
		if err != nil || r.Statement.Digest != digest {
			t.Errorf("%s: %v", name, err)
		}
		if asked := a.Asked(); asked != "GET POST GET" {
			t.Errorf("%s: it asked %s", name, asked)
		}
	}
	// Killed before it was answered, another process finds it.
	a := testauditor.Start(t, t.TempDir(), "killed", 1)
	s, _ := submission(t, a)
	ctx, kill := context.WithCancel(t.Context())
	a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			must(a.Sign(ns, 1, digest[:]))
			kill()
			<-r.Context().Done()
			return true
		}
		return false
	})
	if _, err := s.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	a.Asked()
	if r, err := s.Run(t.Context()); err != nil || r.Statement.Digest != digest || a.Asked() != "GET" {
		t.Error(err)
	}
}

func TestASubmissionThatWaitsIsAskedForPolitely(t *testing.T) {
	a := testauditor.Start(t, t.TempDir(), "late", 1)
	s, waited := submission(t, a)
	after := "7"
	a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusAccepted)
			return true
		}
		return false
	})
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": pause, "0": pause, "999999999999999999999": 2 * time.Minute, "soon": pause, "-1": pause} {
		after = header
		_, err := s.Run(t.Context())
		if p := (*Pending)(nil); !errors.As(err, &p) || p.After != want {
			t.Errorf("Retry-After %q: %v", header, err)
		}
	}
	if got := a.Asked(); strings.Count(got, "POST") != strings.Count(got, "GET") || len(*waited) != 0 {
		t.Errorf("it asked %s, and waited %v", got, *waited)
	}
	after = "7"
	_, err := s.Run(t.Context())
	p := err.(*Pending)
	a.Asked()
	if r, err := s.Await(t.Context(), p, 30*time.Second); r != nil || !errors.Is(err, p) {
		t.Errorf("%v", err)
	}
	if got := a.Asked(); got != "GET GET GET GET" || fmt.Sprint(*waited) != "[7s 7s 7s 7s]" {
		t.Errorf("it asked %s, and waited %v", got, *waited)
	}
	asked := 0
	a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if asked++; asked == 3 {
			must(a.Sign(ns, 1, digest[:]))
		}
		return false
	})
	if r, err := s.Await(t.Context(), p, time.Hour); err != nil || r.Statement.Digest != digest || asked != 3 {
		t.Errorf("%v, after %d questions", err, asked)
	}
}

// What an auditor can do wrong is refused by name, and nothing of it is kept, but for
// what proves equivocation.
func TestWrongAnswersAreRefusedByName(t *testing.T) {
	a := testauditor.Start(t, t.TempDir(), "wrong", 1)
	other := testauditor.Start(t, t.TempDir(), "another", 1)
	good := string(a.Statement(1, ns, 1, digest[:]))
	says := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
			return true
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		"wrong key":         {says(200, string(other.Statement(1, ns, 1, digest[:]))), "/audits/1: the statement of epoch 1 of " + ns + " verifies under none of the pinned keys"},
		"forged":            {says(200, strings.Replace(good, `"timestamp":1`, `"timestamp":2`, 1)), "serialized_message is not what the other fields give"},
		"not JSON":          {says(200, "<html>welcome</html>"), "/audits/1:1: "},
		"empty":             {says(201, ""), "/audits/1:1: "},
		"duplicate members": {says(200, strings.Replace(good, `"epoch":1`, `"epoch":1,"epoch":1`, 1)), `has "epoch" twice`},
		"no ciphersuite":    {says(200, strings.Replace(good, `"version":1,"ciphersuite":1,`, "", 1)), "version and ciphersuite are both missing"},
		"huge":              {says(200, strings.Repeat(" ", 1<<20)+good), "answers with too many bytes: 4096 are allowed"},
		"not allowed":       {says(403, `{"error":"no \u001b[2Jone"}`), "answers 403 Forbidden to the submission of epoch 1"},
		"disabled":          {says(400, "Namespace is disabled and read-only."), "answers 400 Bad Request to the submission of epoch 1"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
				return true
			}
			return false
		}, "answers 307 Temporary Redirect"},
		"a response of ours": {says(200, string(must(bundle.NewResponse(must(bundle.ParseAnswer("", []byte(good), [][32]byte{keyOf(a)})).Signed)).Raw())), "with a file of fleetctl's, and not with a statement"},
	} {
		s, _ := submission(t, a)
		a.Misbehave(c.answer)
		r, err := s.Run(t.Context())
		if wantError(t, err, c.want); r != nil || s.Kept != "" {
			t.Errorf("%s: an answer came with the error", name)
		}
		if got := files(t, s); len(got) != 1 || got[0] != "cloudflare.json" {
			t.Errorf("%s: it kept %q", name, got)
		}
	}
	if asked := other.Asked(); asked != "" {
		t.Errorf("the other server was asked %s", asked)
	}
}

// What is about something else is the caller's to judge: here only what proves
// equivocation is told from the rest.
func TestAnAnswerAboutAnotherDigestIsKept(t *testing.T) {
	a := testauditor.Start(t, t.TempDir(), "equivocates", 1)
	bad := sha256.Sum256([]byte("another artifact"))
	for name, c := range map[string]struct {
		text []byte
		kept bool
	}{
		"other digest":      {a.Statement(1, ns, 1, bad[:]), true},
		"wrong epoch":       {a.Statement(1, ns, 2, bad[:]), false},
		"wrong namespace":   {a.Statement(1, ns+"x", 1, bad[:]), false},
		"other ciphersuite": {a.Statement(2, ns, 1, digest[:]), false},
	} {
		s, _ := submission(t, a)
		a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.Write(c.text)
				return true
			}
			return false
		})
		for range 2 {
			r, err := s.Run(t.Context())
			if err != nil || (s.Kept != "") != c.kept {
				t.Fatalf("%s: %v, kept as %q", name, err, s.Kept)
			}
			if c.kept && string(must(os.ReadFile(s.Kept))) != string(r.Raw()) {
				t.Errorf("%s: it is not kept as it came", name)
			}
		}
	}
}

func TestASlowAuditorIsLeftAndFoundAgain(t *testing.T) {
	a := testauditor.Start(t, t.TempDir(), "slow", 1)
	s, waited := submission(t, a)
	s.Client.HTTP.Timeout = 100 * time.Millisecond
	a.Misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // the answer never ends
		}
		w.WriteHeader(http.StatusNotFound)
		return true
	})
	_, err := s.Run(t.Context())
	wantError(t, err, "Client.Timeout")
	if len(*waited) < tries-1 {
		t.Errorf("it waited %v", *waited)
	}
}

func TestAnEpochIsSubmittedToOneAddress(t *testing.T) {
	a, b := testauditor.Start(t, t.TempDir(), "one", 1), testauditor.Start(t, t.TempDir(), "two", 1)
	s, _ := submission(t, a)
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	elsewhere, _ := submission(t, b)
	elsewhere.Dir = s.Dir
	_, err := elsewhere.Run(t.Context())
	wantError(t, err, "it was submitted to "+a.URL+" before, and not to "+b.URL)
	later := *s
	later.Digest[0] ^= 1
	_, err = later.Run(t.Context())
	wantError(t, err, "and not about what is to be submitted now")
	if b.Asked() != "" {
		t.Error("it was asked all the same")
	}
	must(0, os.WriteFile(s.path(), []byte("{}\n"), 0o600))
	_, err = s.Run(t.Context())
	wantError(t, err, "format")
	unlock := must(s.lock())
	_, err = s.Run(t.Context())
	wantError(t, err, "another fleetctl submits to cloudflare")
	unlock()
}

func TestAStrangersCertificateIsNoWayIn(t *testing.T) {
	a := testauditor.Start(t, t.TempDir(), "strict", 1)
	s, waited := submission(t, a)
	s.Client.Identify(nil, nil)
	if _, err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown server: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(a.Files.CA)))
	stranger := must(tls.LoadX509KeyPair(a.Files.Stranger, a.Files.StrangerKey))
	for _, cert := range []*tls.Certificate{nil, &stranger} {
		s.Client.Identify(cert, pool)
		if _, err := s.Run(t.Context()); err == nil || a.Asked() != "" {
			t.Errorf("a stranger: %v", err)
		}
	}
	if len(*waited) != 0 {
		t.Errorf("it asks again, as if that changed anything: %v", *waited)
	}
}

func FuzzState(f *testing.F) {
	good := &state{format, "cloudflare", "https://auditor.example", ns, 1, digest, time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	f.Add(good.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseState("f", data)
		if err != nil {
			if s != nil {
				t.Fatal("a state came with the error")
			}
			return
		}
		again, err := parseState("f", s.encode())
		if err != nil || *again != *s {
			t.Fatalf("%+v reads back as %+v, %v", s, again, err)
		}
	})
}

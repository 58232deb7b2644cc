package service

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/await"
	httpserve "github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const ns = testfleet.Namespace

func keyOf(f *testfleet.Fleet) [32]byte {
	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	return [32]byte(raw)
}

func serve(t testing.TB, f *testfleet.Fleet, c Config) *httptest.Server {
	t.Helper()
	c.Ledger, c.Key = f.Parties.Ledger, keyOf(f)
	c.Namespaces = append([]string{ns}, c.Namespaces...)
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return srv
}

func ask(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body)))
}

func TestItAnswersAsCloudflaresAuditorDoes(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	if err := thirdparty.InitLedger(f.Parties.Ledger, thirdparty.GuardPath(f.Parties.Ledger), keyOf(f)); err != nil {
		t.Fatal(err)
	}
	srv := serve(t, f, Config{Namespaces: []string{"rehearsal.empty"}, NotBefore: time.UnixMilli(1500).UTC()})
	if code, body := ask(t, srv.URL+"/namespaces/"+ns); code != 200 || !strings.Contains(body, `"root":null,"status":"Initialization"`) {
		t.Errorf("%d %s", code, body)
	}
	r := must(f.Answer(f.Request, f.Now())) // signed by another process, as it were
	digest := fmt.Sprintf("%x", r.Statement.Digest)
	for path, want := range map[string]string{
		"/info":                           fmt.Sprintf(`{"keys":[{"public_key":"%x","not_before":1500}],"logs":[]}`, keyOf(f)),
		"/namespaces/" + ns:               `{"name":"` + ns + `","log_directory":null,"root":"1/` + digest + `","last_verified_epoch":1,"status":"Online","reports_uri":"/namespaces/` + ns + `/reports","audits_uri":"/namespaces/` + ns + `/audits","signature_version":1,"ciphersuite":1}`,
		"/namespaces/" + ns + "/audits/1": string(r.Statement.Raw()),
		"/namespaces/" + ns + "/last-verified-epoch": `{"job_id":"` + jobID(r.Statement) + `","epoch":1,"start_hash":"` + strings.Repeat("00", 32) + `","end_hash":"` + digest + `","timestamp":` + fmt.Sprint(r.Statement.Timestamp) + `}`,
	} {
		if code, body := ask(t, srv.URL+path); code != 200 || body != want || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d\n%s\nwant\n%s", path, code, body, want)
		}
	}
	if _, body := ask(t, srv.URL+"/namespaces"); strings.Count(body, `"name"`) != 2 || !json.Valid([]byte(body)) {
		t.Error(body)
	}
	for path, want := range map[string]int{
		"/namespaces/" + ns + "/audits": 405, "/namespaces/" + ns + "/audits/2": 404, "/namespaces/" + ns + "/audits/01": 404,
		"/namespaces/" + ns + "/audits/x": 404, "/namespaces/other": 404, "/namespaces/rehearsal.empty/last-verified-epoch": 404, "/": 404,
		"/namespaces/" + ns + "/audits/../../../etc/passwd": 404, "/namespaces/" + ns + "/audits/99999999999999999999": 404,
	} {
		if code, body := ask(t, srv.URL+path); code != want || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	resp := must(http.Post(srv.URL+"/namespaces", "text/plain", strings.NewReader("x")))
	resp.Body.Close()
	if resp.StatusCode == 200 {
		t.Error("it takes a POST")
	}
}

func TestABrokenLedgerIsNotServed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	srv := serve(t, f, Config{})
	whole := must(os.ReadFile(f.Parties.Ledger))
	// An entry that is being written isn't there yet, and no fault.
	os.WriteFile(f.Parties.Ledger, append(bytes.Clone(whole), whole[:50]...), 0o600)
	if code, _ := ask(t, srv.URL+"/namespaces/"+ns+"/audits/1"); code != 200 {
		t.Errorf("while an entry is written: %d", code)
	}
	os.WriteFile(f.Parties.Ledger, append(bytes.Clone(whole), "{}\n"...), 0o600)
	if code, body := ask(t, srv.URL+"/namespaces/"+ns+"/audits/1"); code != 500 || strings.Contains(body, f.Parties.Ledger) {
		t.Errorf("%d %s", code, body)
	}
	if _, err := New(Config{Ledger: f.Parties.Ledger, Key: keyOf(f)}); err == nil {
		t.Error("it starts with a broken ledger")
	}
}

func TestALedgerThatIsGoneIsAFaultAndNoAbsentEpoch(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	var told bytes.Buffer
	srv := serve(t, f, Config{Log: slog.New(slog.NewTextHandler(&told, nil))})
	paths := []string{"/info", "/namespaces", "/namespaces/" + ns, "/namespaces/" + ns + "/last-verified-epoch", "/namespaces/" + ns + "/audits/1", "/namespaces/" + ns + "/audits/2"}
	must(0, os.Rename(f.Parties.Ledger, f.Parties.Ledger+".away"))
	for _, path := range paths {
		if code, body := ask(t, srv.URL+path); code != 500 || strings.Contains(body, f.Parties.Ledger) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if said := told.String(); strings.Count(said, "the ledger can't be read") != len(paths) || !strings.Contains(said, f.Parties.Ledger) || !strings.Contains(said, "no such file") {
		t.Errorf("the log says %q", said)
	}
	if _, err := New(Config{Ledger: f.Parties.Ledger, Key: keyOf(f)}); err == nil {
		t.Error("it starts without a ledger")
	}
	must(0, os.Rename(f.Parties.Ledger+".away", f.Parties.Ledger))
	if code, body := ask(t, srv.URL+"/namespaces/"+ns+"/audits/1"); code != 200 {
		t.Errorf("with the ledger back: %d %s", code, body)
	}
	// An entry cut off was being written: it is looked for again each time, and
	// then too the ledger can vanish. Its guard isn't here, as with a copy.
	must(0, os.Remove(thirdparty.GuardPath(f.Parties.Ledger)))
	whole := must(os.ReadFile(f.Parties.Ledger))
	os.WriteFile(f.Parties.Ledger, whole[:len(whole)-5], 0o600)
	srv = serve(t, f, Config{})
	os.Remove(f.Parties.Ledger)
	if code, body := ask(t, srv.URL+"/namespaces/"+ns+"/audits/1"); code != 500 {
		t.Errorf("with a torn ledger gone: %d %s", code, body)
	}
}

func TestTheRateIsLimited(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	srv := serve(t, f, Config{Rate: 0.0001, Burst: 3})
	for range 3 {
		if code, _ := ask(t, srv.URL+"/info"); code != 200 {
			t.Fatal(code)
		}
	}
	resp := must(http.Get(srv.URL + "/info"))
	resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	b := newBucket(2, 1)
	at := time.Now()
	if b.take(at) != 0 || b.take(at) != 500*time.Millisecond || b.take(at.Add(time.Second)) != 0 {
		t.Error("the bucket counts wrongly")
	}
}

// mtls is a server that takes submissions, and clients with and without a
// certificate.
func mtls(t *testing.T, q *Queue, f *testfleet.Fleet) (url string, good, bad *http.Client) {
	t.Helper()
	authority := func(name string) (*x509.Certificate, *ecdsa.PrivateKey) {
		k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tpl, tpl, k.Public(), k)))), k
	}
	leaf := func(ca *x509.Certificate, by *ecdsa.PrivateKey, name string) tls.Certificate {
		k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		tpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, tpl, ca, k.Public(), by))}, PrivateKey: k}
	}
	ca, caKey := authority("ca")
	other, otherKey := authority("other")
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	inner := must(net.Listen("tcp", "127.0.0.1:0"))
	go httpserve.Run(t.Context(), q.Log, httpserve.Part{Listener: inner, Handler: q.Handler(reads(t, f)), TLS: ServerTLS(leaf(ca, caKey, "server"), pool)})
	client := func(c tls.Certificate) *http.Client {
		return &http.Client{Timeout: await.Longest, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{c}}}}
	}
	return "https://" + inner.Addr().String(), client(leaf(ca, caKey, "operator")), client(leaf(other, otherKey, "stranger"))
}

// reads serves a fleet's ledger, which is begun where it isn't.
func reads(t *testing.T, f *testfleet.Fleet) *Service {
	t.Helper()
	must(f.OpenLedger()).Close()
	return must(New(Config{Ledger: f.Parties.Ledger, Key: keyOf(f), Namespaces: []string{ns}}))
}

func queue(t *testing.T, f *testfleet.Fleet) *Queue {
	t.Helper()
	p := must(thirdparty.ParsePolicy("p", f.ThirdPartyPolicy()))
	q := must(OpenQueue(filepath.Join(t.TempDir(), "queue"), p, nil))
	q.bucket = newBucket(1000, 1000)
	return q
}

func post(t *testing.T, c *http.Client, url string, body io.Reader) (int, string) {
	t.Helper()
	resp, err := c.Post(url+"/requests", "application/json", body)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body)))
}

func TestSubmissionsNeedACertificateAndFitThePolicy(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	q := queue(t, f)
	url, good, bad := mtls(t, q, f)
	if resp, err := bad.Post(url+"/requests", "", bytes.NewReader(f.Request.Raw())); err == nil {
		resp.Body.Close()
		t.Error("a stranger's certificate is taken")
	}
	plain := httptest.NewServer(q.Handler(reads(t, f)))
	defer plain.Close()
	if code, _ := post(t, http.DefaultClient, plain.URL, bytes.NewReader(f.Request.Raw())); code != 403 {
		t.Errorf("without TLS: %d", code)
	}
	for name, c := range map[string]struct {
		body io.Reader
		code int
		want string
	}{
		"nothing":        {strings.NewReader(""), 400, "JSON"},
		"no JSON":        {strings.NewReader("<html>"), 400, "is not JSON"},
		"deep":           {strings.NewReader(strings.Repeat("[", 1<<20)), 400, "deep"},
		"another format": {bytes.NewReader(f.Request.Core.Raw()), 400, "format is"},
		"cut off":        {bytes.NewReader(f.Request.Raw()[:1000]), 400, "ends in the middle"},
		"huge":           {io.LimitReader(zeros{}, bundle.MaxRequest+1), 413, "at most 16777216 bytes"},
	} {
		if code, body := post(t, good, url, c.body); code != c.code || !strings.Contains(body, c.want) || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if list := must(List(q.Dir)); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	strict := must(thirdparty.ParsePolicy("p", bytes.Replace(f.ThirdPartyPolicy(), []byte("least_hsms: 3"), []byte("least_hsms: 4"), 1)))
	q.Policy = strict
	if code, body := post(t, good, url, bytes.NewReader(f.Request.Raw())); code != 400 || !strings.Contains(body, "the policy wants at least 4") {
		t.Errorf("%d %s", code, body)
	}
	q.Policy = must(thirdparty.ParsePolicy("p", f.ThirdPartyPolicy()))
	if code, body := post(t, good, url, bytes.NewReader(f.Request.Raw())); code != 201 || !strings.Contains(body, `"status":"queued"`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := post(t, good, url, bytes.NewReader(f.Request.Raw())); code != 200 || !strings.Contains(body, "queued before") {
		t.Errorf("%d %s", code, body)
	}
	list := must(List(q.Dir))
	if len(list) != 1 || list[0].Epoch != 1 || list[0].Namespace != ns || !bytes.Equal(must(os.ReadFile(list[0].File)), f.Request.Raw()) {
		t.Errorf("%+v", list)
	}
	q.Most = 1
	two := testfleet.New(t, testfleet.Options{Name: "one", To: testfleet.ToLogged})
	next := testfleet.New(t, testfleet.Options{Name: "two", After: two, To: testfleet.ToRequest})
	if code, body := post(t, good, url, bytes.NewReader(next.Request.Raw())); code != 503 {
		t.Errorf("a full queue: %d %s", code, body)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestOfManySubmissionsForOneEpochExactlyOneWins(t *testing.T) {
	var fleets []*testfleet.Fleet
	for i := range 4 {
		fleets = append(fleets, testfleet.New(t, testfleet.Options{Name: fmt.Sprint("rival-", i), To: testfleet.ToRequest}))
	}
	q := queue(t, fleets[0])
	url, good, _ := mtls(t, q, fleets[0])
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[int]int{}
	codes := map[int]int{}
	for n := range 32 {
		wg.Go(func() {
			i := n % len(fleets)
			code, _ := post(t, good, url, bytes.NewReader(fleets[i].Request.Raw()))
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
			if code == 201 || code == 200 {
				won[i]++
			}
		})
	}
	wg.Wait()
	list := must(List(q.Dir))
	if len(won) != 1 || codes[201] != 1 || codes[200] != 7 || codes[409] != 24 || len(list) != 1 {
		t.Fatalf("winners %v, answers %v, %d in the queue", won, codes, len(list))
	}
	for i := range won {
		if !bytes.Equal(must(os.ReadFile(list[0].File)), fleets[i].Request.Raw()) {
			t.Error("the queue holds another's request")
		}
	}
}

func TestSubmissionsAreRateLimited(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	q := queue(t, f)
	q.bucket = newBucket(0.01, 2)
	url, good, _ := mtls(t, q, f)
	var last int
	for range 3 {
		last, _ = post(t, good, url, strings.NewReader("x"))
	}
	if last != 429 {
		t.Error(last)
	}
}

//go:build cgo && unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// daemon is a command that runs until the test stops it.
type daemon struct {
	Listen, Metrics string
	stop            func() int
	log             chan []byte // lines of standard error; closed at the end
}

// started runs a command that says on standard output where it answers.
func started(t *testing.T, args ...string) *daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, w := io.Pipe()
	errors, ew := io.Pipe()
	ended := make(chan int, 1)
	s := &daemon{log: make(chan []byte, 1000), stop: func() int { cancel(); return <-ended }}
	go func() {
		code := run(ctx, strings.NewReader(""), w, ew, append(args, "--metrics", "127.0.0.1:0", "--log-format", "json"))
		w.Close()
		ew.Close()
		ended <- code
	}()
	go func() {
		for lines := bufio.NewScanner(errors); lines.Scan(); {
			s.log <- bytes.Clone(lines.Bytes())
		}
		close(s.log)
	}()
	if args[1] != "monitor" && args[1] != "follow" { // which have nothing else that answers
		var said json.RawMessage
		err := json.NewDecoder(out).Decode(&said)
		if err == nil {
			err = printedBySchema(string(said))
		}
		if err == nil {
			err = json.Unmarshal(said, s)
		}
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	go io.Copy(io.Discard, out)
	line := s.logged(t)
	if line["msg"] != "started" {
		t.Fatalf("it logs first %v", line)
	}
	if at, ok := line["metrics"].(string); ok {
		s.Metrics = at
	}
	return s
}

func (s *daemon) logged(t *testing.T) (line map[string]any) {
	t.Helper()
	text := <-s.log
	if err := json.Unmarshal(text, &line); err != nil {
		t.Fatalf("logged: %s", text)
	}
	return line
}

// read asks with curl and reads the answer as Prometheus does.
func (s *daemon) read(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	text := curl(t, "--fail", s.Metrics)
	p := expfmt.NewTextParser(model.LegacyValidation)
	found, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return found
}

func curl(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("curl is not installed, and CI must have it")
		}
		t.Skip("curl is not installed (apt-get install curl)")
	}
	out, err := exec.Command("curl", append([]string{"--silent", "--show-error", "--max-time", "60"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// value is that of the one series with these values of labels.
func value(t *testing.T, from map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	if from[name] == nil {
		t.Fatalf("there is no %s", name)
	}
	for _, m := range from[name].Metric {
		var got []string
		for _, l := range m.Label {
			got = append(got, l.GetValue())
		}
		if slices.Equal(got, labels) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("%s has no series %q: %v", name, labels, from[name].Metric)
	return 0
}

// TestServicesTellThoseWhoRunThem starts every service, asks each with curl, reads its
// metrics as Prometheus does, and stops it. The names are those of docs/services.md.
func TestServicesTellThoseWhoRunThem(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	dir := t.TempDir()
	seen := map[string]string{}
	done := func(s *daemon, from map[string]*dto.MetricFamily) {
		t.Helper()
		for name, family := range from {
			seen[name] = strings.ToLower(family.GetType().String())
		}
		if got := value(t, from, "fleetctl_healthy"); got != 1 {
			t.Errorf("healthy is %v", got)
		}
		if code := s.stop(); code != cli.ExitDone {
			t.Errorf("it ended with %d", code)
		}
	}

	logDir, policy := serviceLog(t, dir, f)
	log := started(t, "log", "serve", logDir, "--listen", "127.0.0.1:0", "--format", "json")
	if got := curl(t, "--fail", log.Listen+"/healthz"); got != `{"status":"ok"}` {
		t.Error(got)
	}
	curl(t, "--fail", log.Listen+"/checkpoint")
	if got := curl(t, "--path-as-is", "--output", "/dev/null", "--write-out", "%{http_code}", log.Listen+"/tile/0/../../config"); got != "404" {
		t.Errorf("a path out of the log: %s", got)
	}
	from := log.read(t)
	if n := value(t, from, "fleetctl_log_entries"); n != 1 {
		t.Errorf("the log has %v entries", n)
	}
	if n := value(t, from, "fleetctl_http_requests_total", "checkpoint", "GET", "200"); n != 1 {
		t.Errorf("%v checkpoints were answered", n)
	}

	watch := started(t, "log", "monitor", log.Listen, "--policy", policy, "--state", filepath.Join(dir, "seen"), "--first", "--every", "1h")
	await.Until(t, "the first pass", func() bool {
		m := watch.read(t)["fleetctl_monitor_passes_total"]
		return m != nil && len(m.Metric) > 0
	})
	from = watch.read(t)
	if n := value(t, from, "fleetctl_monitor_log_entries"); n != 1 {
		t.Errorf("the monitor saw %v entries", n)
	}
	done(watch, from)

	if code, _, talk := runApp("log", "witness", "--witness-key", filepath.Join(dir, "w.pem"), "--name", "witness.example/a"); code != cli.ExitDone {
		t.Fatal(code, talk) // this makes the key
	}
	witness := started(t, "log", "witness", "--witness-key", filepath.Join(dir, "w.pem"), "--name", "witness.example/a", "--state", filepath.Join(dir, "witness"),
		"--first", "--policy", filepath.Join(dir, "log.policy"), "--listen", "127.0.0.1:0", "--format", "json")
	from = witness.read(t)
	if n := value(t, from, "fleetctl_witness_entries", "log.example/services"); n != 0 {
		t.Errorf("the witness cosigned %v entries", n)
	}
	done(witness, from)

	if err := os.Rename(filepath.Join(logDir, "log", "checkpoint"), filepath.Join(dir, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	if got := curl(t, "--write-out", " %{http_code}", log.Listen+"/healthz"); got != `{"status":"failing","why":"there is no checkpoint"} 503` {
		t.Error(got)
	}
	if err := os.Rename(filepath.Join(dir, "checkpoint"), filepath.Join(logDir, "log", "checkpoint")); err != nil {
		t.Fatal(err)
	}
	done(log, log.read(t))

	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	own := filepath.Join(dir, "thirdparty.yaml")
	if err := os.WriteFile(own, f.ThirdPartyPolicy(), 0o600); err != nil {
		t.Fatal(err)
	}
	third := started(t, append([]string{"thirdparty", "serve", "--policy", own, "--ledger", f.Parties.Ledger, "--public-key", base64.StdEncoding.EncodeToString(raw),
		"--listen", "127.0.0.1:0", "--log-requests", "--format", "json"}, submitting(t, dir)...)...)
	curl(t, "--fail", third.Listen+"/namespaces")
	if line := third.logged(t); line["msg"] != "answered" || line["path"] != "/namespaces" || line["code"] != 200.0 {
		t.Errorf("logged: %v", line)
	}
	history := started(t, "history", "follow", third.Listen, "--namespace", testfleet.Namespace, "--key", "auditor="+base64.StdEncoding.EncodeToString(raw),
		"--state", filepath.Join(dir, "followed"), "--first", "--every", "1h")
	await.Until(t, "the first pass over the history", func() bool {
		return value(t, history.read(t), "fleetctl_history_newest_epoch") == 1
	})
	done(history, history.read(t))
	from = third.read(t)
	if n := value(t, from, "fleetctl_ledger_newest_epoch", testfleet.Namespace); n != 1 {
		t.Errorf("the newest epoch is %v", n)
	}
	for _, kind := range []string{"request", "digest"} {
		if n := value(t, from, "fleetctl_queue_waiting", kind); n != 0 {
			t.Errorf("%v wait as %s", n, kind)
		}
	}
	done(third, from)
	documented(t, seen)
}

// documented compares what services have with what docs/services.md says.
func documented(t *testing.T, seen map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram) \\|").FindAllStringSubmatch(string(text), -1) {
		told[m[1]] = m[2]
	}
	// No alarm was raised here, so that family has no series yet.
	seen["fleetctl_monitor_alarms_total"] = "counter"
	// These are read in TestBundleServeHandsOutWhatItsFilesHave.
	seen["fleetctl_bundle_epoch"], seen["fleetctl_bundle_witnessed_age_seconds"] = "gauge", "gauge"
	if !maps.Equal(seen, told) {
		t.Errorf("the services have %v\n\ndocs/services.md tells of %v", seen, told)
	}
}

func TestAServiceSaysWhatIsWrongWithItsFlags(t *testing.T) {
	logDir, _ := serviceLog(t, t.TempDir(), testfleet.New(t, testfleet.Options{To: testfleet.ToLogged}))
	for want, args := range map[string][]string{
		`--log-format is "xml"; it is text or json`: {"--listen", "127.0.0.1:0", "--log-format", "xml"},
		"--metrics nonsense":                        {"--listen", "127.0.0.1:0", "--metrics", "nonsense"},
		"--tls-cert and --tls-key belong together":  {"--listen", "127.0.0.1:0", "--tls-cert", "x"},
	} {
		code, out, talk := runApp(append([]string{"log", "serve", logDir}, args...)...)
		if code != cli.ExitUsage || out != "" || !strings.Contains(talk, want) {
			t.Errorf("%q: %d\n%s\n%s", args, code, out, talk)
		}
	}
}

// serviceLog makes a log with a fleet's bundle, and a verifier's policy that pins it.
func serviceLog(t *testing.T, dir string, f *testfleet.Fleet) (log, policy string) {
	t.Helper()
	log, policy = filepath.Join(dir, "log"), filepath.Join(dir, "policy.yaml")
	key, logPolicy := filepath.Join(dir, "log.pem"), filepath.Join(dir, "log.policy")
	for _, args := range [][]string{
		{"log", "init", log, "--origin", "log.example/services", "--key", key, "--policy-out", logPolicy},
		{"log", "append", filepath.Join(f.Dir, "bundle.json"), "--log", log, "--key", key, "--out", filepath.Join(dir, "proof")},
	} {
		if code, _, talk := runApp(args...); code != cli.ExitDone {
			t.Fatalf("%q: %d\n%s", args, code, talk)
		}
	}
	text, err := os.ReadFile(logPolicy)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`log \S+`)
	pinned := line.FindString(string(text))
	old := regexp.MustCompile(`log \S+\+[0-9a-f]{8}\+\S+`)
	if pinned == "" || !old.Match(f.Policy) {
		t.Fatalf("%s\n%s", text, f.Policy)
	}
	if err := os.WriteFile(policy, old.ReplaceAllLiteral(f.Policy, []byte(pinned)), 0o600); err != nil {
		t.Fatal(err)
	}
	return log, policy
}

// submitting are the flags of a listener for requests.
func submitting(t *testing.T, dir string) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, secret := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, secret: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--submit", "127.0.0.1:0", "--queue", filepath.Join(dir, "queue"), "--cert", cert, "--cert-key", secret, "--clients", cert}
}

package passkey

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"testing"
)

// asked sends a request to the page's site, with changes.
func asked(t *testing.T, method, url, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "http://"+r.URL.Host)
	}
	if change != nil {
		change(r)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	must(t, err)
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(data)
}

// TestOnlyWhoWasShownTheAddressGetsAnywhere: what another page of the browser, or
// another program of the machine, can try.
func TestOnlyWhoWasShownTheAddressGetsAnywhere(t *testing.T) {
	_, err := Create(t.Context(), rand.Reader, "drill.a", make([]byte, 32), func(_ context.Context, url string) error {
		root := url[:strings.LastIndex(strings.TrimSuffix(url, "/"), "/")+1]
		for what, c := range map[string]struct {
			method, url string
			change      func(*http.Request)
			want        int
		}{
			"the page":           {"GET", url, nil, 200},
			"its script":         {"GET", url + "page.js", nil, 200},
			"the root":           {"GET", root, nil, 404},
			"another secret":     {"POST", root + strings.Repeat("0", 32) + "/begin", nil, 404},
			"another host":       {"GET", url, func(r *http.Request) { r.Host = "evil.example" }, 404},
			"by the IP address":  {"GET", strings.Replace(url, "localhost", "127.0.0.1", 1), nil, 404},
			"a read step":        {"GET", url + "begin", nil, 404},
			"another origin":     {"POST", url + "begin", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
			"no origin":          {"POST", url + "begin", func(r *http.Request) { r.Header.Del("Origin") }, 403},
			"a form":             {"POST", url + "begin", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 403},
			"another step":       {"POST", url + "other", nil, 404},
			"a step of the page": {"POST", url + "begin", nil, 200},
		} {
			if got, _ := asked(t, c.method, c.url, "{}", c.change); got != c.want {
				t.Errorf("%s: %d, want %d", what, got, c.want)
			}
		}
		if got, _ := asked(t, "POST", url+"begin", strings.Repeat("x", maxAnswer+1), nil); got != 413 {
			t.Errorf("a long answer: %d", got)
		}
		// What is made up ends the run.
		if got, body := asked(t, "POST", url+"create", `{"id":"x"}`, nil); got != 400 || !strings.Contains(body, "WebAuthn") {
			t.Errorf("%d %s", got, body)
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "WebAuthn") {
		t.Errorf("the run ends with %v", err)
	}
}

func TestAStepThatWasNotAskedForIsRefused(t *testing.T) {
	for _, name := range []string{"create", "get", "begin get"} {
		_, err := Create(t.Context(), rand.Reader, "drill.a", make([]byte, 32), func(_ context.Context, url string) error {
			for _, step := range strings.Fields(name) {
				asked(t, "POST", url+step, "{}", nil)
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "wasn't asked for") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Create(t.Context(), rand.Reader, "drill.a", make([]byte, 32), func(_ context.Context, url string) error {
		asked(t, "POST", url+"failed", `{"error":"NotAllowedError\u001b[31m"}`, nil)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "NotAllowedError?[31m") {
		t.Errorf("%v", err)
	}
}

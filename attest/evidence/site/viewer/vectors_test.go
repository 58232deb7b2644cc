package viewer_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// asked is a case as testdata/run.js takes it.
type asked struct {
	Kind  string            `json:"kind"`
	Files map[string][]byte `json:"files"`
	With  map[string]string `json:"with"`
}

// said is what the verifier in JavaScript says of a case.
type said struct {
	Verdict, Why string
	Claims       map[string]string
	Areas        []string
}

var grades = []string{"", "device", "attested", "proven"}

// Every case of testdata/vectors gets from JavaScript what its member javascript says.
// With FLEETCTL_WRITE=1 that is written, where it is the case's verdict or not checked.
func TestJavaScriptJudgesEveryVectorOrSaysThatItDoesNot(t *testing.T) {
	kinds, err := testvectors.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	var cases []*testvectors.Case
	var in []asked
	for _, kind := range kinds {
		all, err := testvectors.All(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			q := asked{kind, map[string][]byte{}, c.With}
			for part := range c.Files {
				if q.Files[part], err = c.File(part); err != nil {
					t.Fatal(err)
				}
			}
			cases, in = append(cases, c), append(in, q)
		}
	}
	var got []said
	node(t, "vectors", in, &got)
	count := map[string]map[string]int{}
	for i, c := range cases {
		if fault := against(c, got[i]); fault != "" {
			t.Errorf("%s/%s (%s): %s", c.Kind, c.Name, c.What, fault)
			continue
		}
		if os.Getenv("FLEETCTL_WRITE") != "" {
			write(t, c, got[i].Verdict)
		} else if got[i].Verdict != c.JavaScript && c.JavaScript == testvectors.NotChecked {
			t.Logf("%s/%s: JavaScript checks it by now; FLEETCTL_WRITE=1 says so in case.json", c.Kind, c.Name)
		} else if got[i].Verdict != c.JavaScript {
			t.Errorf("%s/%s: JavaScript says %q (%s), and case.json has %q", c.Kind, c.Name, got[i].Verdict, got[i].Why, c.JavaScript)
		}
		if count[c.Kind] == nil {
			count[c.Kind] = map[string]int{}
		}
		count[c.Kind][got[i].Verdict]++
	}
	for _, kind := range kinds {
		n := count[kind]
		t.Logf("%s: %d agree (%d accepted, %d rejected), %d not checked", kind, n["accept"]+n["reject"], n["accept"], n["reject"], n["not checked"])
	}
}

// against is what of an answer breaks the rules of testdata/vectors/README.md.
func against(c *testvectors.Case, got said) string {
	switch {
	case got.Verdict == testvectors.NotChecked && len(got.Areas) == 0:
		return "JavaScript doesn't say what it hasn't checked"
	case got.Verdict != testvectors.NotChecked && got.Verdict != c.Verdict:
		return fmt.Sprintf("JavaScript says %q (%s), and the verdict is %q (%s%s)", got.Verdict, got.Why, c.Verdict, c.Reason, c.Code)
	}
	for id, grade := range got.Claims {
		if slices.Index(grades, grade) > slices.Index(grades, c.Claims[id]) {
			return fmt.Sprintf("JavaScript calls %s %s, and it is %q", id, grade, c.Claims[id])
		}
	}
	for id, grade := range c.Claims {
		if got.Verdict == testvectors.Accept && slices.Index(grades, got.Claims[id]) < slices.Index(grades, grade) {
			return fmt.Sprintf("JavaScript accepts it, and calls %s %q where it is %s", id, got.Claims[id], grade)
		}
	}
	return ""
}

// write writes what JavaScript must say of a case.
func write(t *testing.T, c *testvectors.Case, verdict string) {
	t.Helper()
	path := filepath.Join(testvectors.Dir(), c.Kind, c.Name, "case.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := fmt.Sprintf("  \"javascript\": %q\n", c.JavaScript)
	if !strings.HasSuffix(string(data), old+"}\n") {
		t.Fatalf("%s doesn't end with %s", path, old)
	}
	data = append(bytes.TrimSuffix(data, []byte(old+"}\n")), fmt.Sprintf("  \"javascript\": %q\n}\n", verdict)...)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

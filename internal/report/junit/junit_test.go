package junit_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/report/junit"
)

// suites is a JUnit file as its readers see it.
type suites struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Suite    []struct {
		Name  string `xml:"name,attr"`
		Cases []struct {
			Name    string  `xml:"name,attr"`
			Failure *fault  `xml:"failure"`
			Error   *fault  `xml:"error"`
			Skipped *fault  `xml:"skipped"`
			Out     *string `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type fault struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func read(t testing.TB, data []byte) (s suites) {
	t.Helper()
	if err := xml.Unmarshal(data, &s); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return s
}

// follows demands that Jenkins' schema takes the file.
func follows(t *testing.T, data []byte) error {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("xmllint is not installed (apt-get install libxml2-utils), and CI must have it")
		}
		t.Skip("xmllint is not installed (apt-get install libxml2-utils): it checks against Jenkins' schema")
	}
	file := filepath.Join(t.TempDir(), "junit.xml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("xmllint", "--nonet", "--noout", "--schema", "testdata/junit-10.xsd", file).CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}

var run = report.Run{Command: "fleetctl verify", Version: "1", Subject: "evidence.tar", Code: 1, Checks: []report.Check{
	{Rule: "mode", Outcome: report.Passed, Message: "proven: rehearsal"},
	{Rule: "page", Message: `is "not" <shown>` + "\x07", Next: "pack it & again", At: report.Place{File: "evidence.tar", Member: "index.html", Line: 2}},
	{Rule: "lockdown", Outcome: report.NotAsked, Message: "not asked"},
	{Rule: report.RuleNoVerdict, Outcome: report.NoVerdict, Message: "no such file", At: report.Place{File: "policy.yaml"}},
}}

func TestEachCheckIsATestCaseWithItsReason(t *testing.T) {
	r := run
	s := read(t, junit.Marshal(&r))
	if s.Tests != 4 || s.Failures != 1 || s.Errors != 1 || len(s.Suite) != 1 || len(s.Suite[0].Cases) != 4 {
		t.Fatalf("%+v", s)
	}
	cases := s.Suite[0].Cases
	if c := cases[0]; c.Name != "mode" || c.Failure != nil || c.Error != nil || c.Out == nil {
		t.Errorf("%+v", c)
	}
	if f := cases[1].Failure; f == nil || f.Type != "page" || f.Message != "is \"not\" <shown>\ufffd" || f.Text != "evidence.tar!index.html:2: is \"not\" <shown>\ufffd\nNext: pack it & again" {
		t.Errorf("%+v", f)
	}
	if c := cases[2]; c.Skipped == nil || c.Skipped.Message != "not asked" || c.Name != "lockdown" {
		t.Errorf("%+v", c)
	}
	if e := cases[3].Error; e == nil || e.Message != "no such file" || cases[3].Name != "no-verdict at policy.yaml" {
		t.Errorf("%+v", cases[3])
	}
}

func TestJenkinsTakesWhatIsWritten(t *testing.T) {
	r := run
	data := junit.Marshal(&r)
	if err := follows(t, data); err != nil {
		t.Error(err)
	}
	if follows(t, []byte(strings.Replace(string(data), "<failure", "<failed", 1))) == nil {
		t.Error("the schema takes an unknown element")
	}
}

func FuzzAnyTextIsWellFormed(f *testing.F) {
	for _, s := range []string{"", "a\nb", "]]>", "\x00\xff\ufffe", "<&\"'>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data := junit.Marshal(&report.Run{Command: s, Version: s, Subject: s, Checks: []report.Check{{Rule: s, Message: s, Next: s, At: report.Place{File: s}}, {Rule: s, Outcome: report.Passed, Message: s}}})
		d := xml.NewDecoder(strings.NewReader(string(data)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v\n%s", err, data)
			}
		}
		if got := read(t, data); got.Tests != 2 || len(got.Suite) != 1 || len(got.Suite[0].Cases) != 2 {
			t.Fatalf("%+v", got)
		}
	})
}

package evidence

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/report/annotate"
	"github.com/fleetctl/fleetctl/internal/report/junit"
	"github.com/fleetctl/fleetctl/internal/report/sarif"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// vector is a package with what is expected of it.
type vector struct {
	name, why string
	verified  bool
	report    *evidence.Report
	in        evidence.Input
}

// vectors verifies the packages that must not verify, and the honest ones beside them.
func vectors(t *testing.T) (list []vector) {
	t.Helper()
	cases, err := testvectors.All("package")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if c.With["expect"] != "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, c.With["time"])
		if err != nil {
			t.Fatal(err)
		}
		read := func(part string) []byte {
			data, err := c.File(part)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		policy, err := evidence.ParsePolicy("policy.yaml", read("policy"))
		if err != nil {
			continue // the policy itself is what must be refused
		}
		in := evidence.Input{File: c.Name + ".tar", Data: read("package"), Logged: read("logged")}
		r, err := evidence.Verify(in, policy, evidence.Question{Now: at})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{c.Name, c.Reason, c.Verdict == testvectors.Accept, r, in})
	}
	if len(list) < 50 {
		t.Fatalf("%d vectors", len(list))
	}
	return list
}

type sarifFile struct {
	Runs []struct {
		Invocations []struct{ ExitCode int }
		Results     []struct {
			RuleID    string
			Message   struct{ Text string }
			Locations []struct {
				Physical struct {
					Artifact struct{ URI string } `json:"artifactLocation"`
					Region   struct {
						StartLine              int
						ByteOffset, ByteLength *int
					}
				} `json:"physicalLocation"`
				Logical []struct{ FullyQualifiedName string } `json:"logicalLocations"`
			}
		}
	}
}

// TestEveryFormHasTheVerdictOfTheReport: a package that doesn't verify has failures in
// each form, every failure its place; one that verifies has none.
func TestEveryFormHasTheVerdictOfTheReport(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../../internal/report/sarif/testdata/sarif-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	inside := 0
	for _, v := range vectors(t) {
		failed := 0
		for _, c := range v.report.Claims {
			if c.Short() {
				failed++
			}
		}
		failed += len(v.report.Problems)
		if len(v.report.Policy.Unpinned()) > 0 {
			failed++
		}
		data := sarif.Marshal(checksOf(v.report, &v.in))
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err == nil {
			err = schema.Validate(parsed)
		}
		var s sarifFile
		if err == nil {
			err = json.Unmarshal(data, &s)
		}
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		run := s.Runs[0]
		if len(run.Results) != failed || (run.Invocations[0].ExitCode == 0) != v.report.Verified {
			t.Errorf("%s: %d results of %d failures, exit code %d", v.name, len(run.Results), failed, run.Invocations[0].ExitCode)
		}
		for _, r := range run.Results {
			at := r.Locations[0]
			if at.Physical.Artifact.URI == "" || at.Physical.Region.StartLine < 1 {
				t.Errorf("%s: %s has no place", v.name, r.RuleID)
			}
			if o := at.Physical.Region.ByteOffset; o != nil {
				inside++
				checkRegion(t, v, at.Logical[0].FullyQualifiedName, r.Message.Text, *o, *at.Physical.Region.ByteLength, at.Physical.Region.StartLine)
			}
		}
		var j struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
		}
		if err := xml.Unmarshal(junit.Marshal(checksOf(v.report, &v.in)), &j); err != nil || j.Failures != failed || j.Tests < v.report.Demanded {
			t.Errorf("%s: %+v, want %d failures: %v", v.name, j, failed, err)
		}
		if n := strings.Count(string(annotate.Marshal(checksOf(v.report, &v.in))), "::error file="); n != failed {
			t.Errorf("%s: %d annotations of %d failures", v.name, n, failed)
		}
	}
	if inside < 50 {
		t.Errorf("only %d failures name bytes inside a package", inside)
	}
}

// checkRegion holds a region against the archive: it is the member's, or its line's.
func checkRegion(t *testing.T, v vector, name, text string, offset, length, line int) {
	t.Helper()
	files, err := evidence.Unpack(v.in.File, v.in.Data)
	if err != nil {
		t.Fatal(err)
	}
	member := strings.TrimPrefix(name, v.in.File+"!")
	part, whole := v.in.Data[offset:offset+length], files[member]
	if !bytes.Contains(whole, part) || strings.Contains(text, member+":") && bytes.ContainsRune(part, '\n') && bytes.Count(whole, []byte{'\n'}) > 1 && len(part) != len(whole) {
		t.Errorf("%s: %s is not at %d: %q", v.name, name, offset, part)
	}
	if want := 1 + bytes.Count(v.in.Data[:offset], []byte{'\n'}); line != want {
		t.Errorf("%s: line %d of the archive, want %d", v.name, line, want)
	}
}

func TestAPlaceOfTheTranscriptIsItsRecordsLine(t *testing.T) {
	v := vectors(t)[0]
	find := newFinder(v.report, &v.in)
	files, err := evidence.Unpack(v.in.File, v.in.Data)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(files["transcript.jsonl"]), "\n")
	for where, n := range map[string]int{"transcript.jsonl, record 4": 4, "transcript.jsonl, records 9 to 12": 9, "transcript.jsonl:1": 1} {
		p := find.place(where)
		if p.Member != "transcript.jsonl" || p.Line != n {
			t.Errorf("%s: %+v", where, p)
			continue
		}
		if got := string(v.in.Data[p.Region.Offset : p.Region.Offset+p.Region.Length]); got+"\n" != lines[n-1] {
			t.Errorf("%s: %q", where, got)
		}
	}
	for _, where := range []string{"", "nowhere.json", "transcript.jsonl.gz:3"} {
		if p := find.place(where); p.File != v.in.File || p.Member != "" || p.Line != 0 {
			t.Errorf("%q: %+v", where, p)
		}
	}
	if p := find.place(v.report.Policy.File + ":3"); p.File != v.report.Policy.File || p.Line != 3 {
		t.Errorf("%+v", p)
	}
}

package sarif_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/report/sarif"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("testdata/sarif-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// shown is what of SARIF these tests look at.
type shown struct {
	Runs []struct {
		Automation  struct{ ID string } `json:"automationDetails"`
		Invocations []struct {
			Successful    bool `json:"executionSuccessful"`
			ExitCode      int
			Notifications []struct{ Level string } `json:"toolExecutionNotifications"`
		}
		Results []struct {
			RuleID    string
			Message   struct{ Text string }
			Locations []struct {
				Physical struct {
					Artifact struct{ URI string } `json:"artifactLocation"`
					Region   struct{ StartLine, ByteOffset, ByteLength int }
				} `json:"physicalLocation"`
				Logical []struct{ FullyQualifiedName string } `json:"logicalLocations"`
			}
		}
	}
}

func TestSARIFHasFailuresAloneEachWithItsPlace(t *testing.T) {
	r := &report.Run{Command: "fleetctl verify", Version: "1", Subject: "a dir/evidence.tar", Code: 1, Checks: []report.Check{
		{Rule: "mode", Title: "m", Outcome: report.Passed, Message: "proven"},
		{Rule: "page", Title: "p", Message: "is not shown", Next: "pack it again"},
		{Rule: report.RuleWrong, Title: "w", Message: "has another content", At: report.Place{File: "a dir/evidence.tar", Member: "MANIFEST", Line: 37, Region: &report.Region{Offset: 1024, Length: 80, Line: 90}}},
		{Rule: report.RuleWrong, Title: "w", Message: "is malformed", At: report.Place{File: "/x/policy.yaml", Line: 4}},
	}}
	data := sarif.Marshal(r)
	if err := valid(t, schema(t), data); err != nil {
		t.Fatal(err)
	}
	var s shown
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	run := s.Runs[0]
	if len(run.Results) != 3 || !run.Invocations[0].Successful || run.Invocations[0].ExitCode != 1 || run.Automation.ID != "fleetctl-verify/a%20dir/evidence.tar/" {
		t.Fatalf("%+v", run)
	}
	page, manifest, policy := run.Results[0], run.Results[1], run.Results[2]
	if at := page.Locations[0].Physical; at.Artifact.URI != "a%20dir/evidence.tar" || at.Region.StartLine != 1 || page.Message.Text != "page: is not shown\nNext: pack it again" {
		t.Errorf("%+v", page)
	}
	if at := manifest.Locations[0]; at.Physical.Region.ByteOffset != 1024 || at.Physical.Region.ByteLength != 80 || at.Physical.Region.StartLine != 90 ||
		at.Logical[0].FullyQualifiedName != "a dir/evidence.tar!MANIFEST" || !strings.HasPrefix(manifest.Message.Text, "MANIFEST:37: ") {
		t.Errorf("%+v", manifest)
	}
	if at := policy.Locations[0].Physical; at.Artifact.URI != "file:///x/policy.yaml" || at.Region.StartLine != 4 {
		t.Errorf("%+v", policy)
	}
}

// A service that sees no result would close what it has open.
func TestARunWithoutAVerdictIsAResultAndANotification(t *testing.T) {
	r := &report.Run{Command: "fleetctl verify", Version: "1", Subject: "evidence.tar", Code: 2, Checks: []report.Check{
		{Rule: report.RuleNoVerdict, Title: "t", Outcome: report.NoVerdict, Message: "no such file", At: report.Place{File: "policy.yaml"}},
	}}
	data := sarif.Marshal(r)
	if err := valid(t, schema(t), data); err != nil {
		t.Fatal(err)
	}
	var s shown
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	if run := s.Runs[0]; len(run.Results) != 1 || run.Invocations[0].Successful || len(run.Invocations[0].Notifications) != 1 || run.Invocations[0].ExitCode != 2 {
		t.Errorf("%+v", run)
	}
}

func TestAnAddressKeepsNoPassword(t *testing.T) {
	r := &report.Run{Command: "fleetctl log audit", Version: "1", Subject: "https://user:secret@log.example/fleet"}
	if data := sarif.Marshal(r); bytes.Contains(data, []byte("secret")) || !bytes.Contains(data, []byte(`"https://log.example/fleet"`)) {
		t.Errorf("%s", data)
	}
}

func TestTheSchemaRefusesWhatIsNoSARIF(t *testing.T) {
	data := bytes.Replace(sarif.Marshal(&report.Run{Command: "c", Version: "1", Subject: "s"}), []byte(`"results"`), []byte(`"result"`), 1)
	if valid(t, schema(t), data) == nil {
		t.Error("the schema takes a run with an unknown member")
	}
}

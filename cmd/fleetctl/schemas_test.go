//go:build cgo && unix

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fleetctl/fleetctl/internal/await"
)

const schemaDir = "../../docs/schemas/"

// schemas are those that were asked for, each compiled once: scripts run beside each other.
var schemas = struct {
	sync.Mutex
	compiled map[string]*jsonschema.Schema
}{compiled: map[string]*jsonschema.Schema{}}

// schemaFor is the schema of what says that it has this format.
func schemaFor(format string) (*jsonschema.Schema, error) {
	schemas.Lock()
	defer schemas.Unlock()
	name := strings.ReplaceAll(strings.TrimPrefix(format, "fleetctl "), " ", "-") + ".json"
	if s := schemas.compiled[name]; s != nil {
		return s, nil
	}
	s, err := jsonschema.NewCompiler().Compile(schemaDir + name)
	schemas.compiled[name] = s
	return s, err
}

// printedBySchema holds every JSON value of a command's output to the schema of its format.
func printedBySchema(out string) error {
	if !strings.HasPrefix(out, "{") {
		return nil
	}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("is neither text nor JSON: %w", err)
		}
		var head struct {
			Format string
			Schema string `json:"$schema"`
		}
		err := json.Unmarshal(raw, &head)
		if strings.Contains(head.Schema, "/sarif-schema-2.1.0.json") {
			continue // scripts hold it to SARIF's own
		}
		if err != nil || head.Format == "" {
			return fmt.Errorf("the JSON says no format (%w): %s", err, raw)
		}
		if head.Format == "fleetctl policy v1" {
			continue // a file's format: policy json
		}
		schema, err := schemaFor(head.Format)
		if err != nil {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, raw)
		}
	}
}

// schema FILE holds a file to the schema of its format.
func cmdSchema(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(printedBySchema(ts.ReadFile(args[0])))
}

// unseen are the schemas that no script's output is held to, with what tests the command.
var unseen = map[string]string{
	"attestation-tpm-enrolment-result-v1.json": "TPMs are enrolled by TestTPMsAreEnrolled",
	"bundle-serve-result-v1.json":              "started by TestServicesTellThoseWhoRunThem, which holds it to its schema",
	"fleet-leave-result-v1.json":               "it takes a token that keeps anchors: cmd/fleetctl/fleet's tests hold it to its schema",
	"device-passkey-result-v1.json":            "a passkey takes a browser: TestAKeyIsOpenedWithAPasskey",
}

// everySchemaIsSeen demands, where all scripts ran, that each schema was used.
func everySchemaIsSeen(t *testing.T) {
	t.Cleanup(func() {
		if os.Getenv("CI") != "true" || await.RaceDetector || t.Failed() || flag.Lookup("test.run").Value.String() != "" || testing.Short() {
			return
		}
		files, err := filepath.Glob(schemaDir + "*.json")
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, file := range files {
			name := filepath.Base(file)
			if (schemas.compiled[name] != nil) == (unseen[name] != "") {
				t.Errorf("%s: a script's output is held to it: %v, and unseen says %q", name, schemas.compiled[name] != nil, unseen[name])
			}
		}
	})
}

func TestASchemaTakesNothingElse(t *testing.T) {
	good := `{"format": "fleetctl words result v1", "what": "x", "digest": "00", "words": ["a"]}`
	check(t, printedBySchema(good+"\n"+good))
	check(t, printedBySchema("text"))
	for _, bad := range []string{
		strings.Replace(good, `"what"`, `"more": 1, "what"`, 1), strings.Replace(good, `"what": "x", `, "", 1), strings.Replace(good, `["a"]`, "[1]", 1),
		strings.Replace(good, "v1", "v2", 1), strings.Replace(good, `"format": "fleetctl words result v1", `, "", 1), good + "\nrest", "{",
	} {
		if printedBySchema(bad) == nil {
			t.Errorf("is taken: %s", bad)
		}
	}
	if _, err := os.Stat(schemaDir + "words-result-v2.json"); err == nil {
		t.Error("there is a version 2 by now")
	}
}

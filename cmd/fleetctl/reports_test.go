//go:build cgo && unix

package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// sarif FILE N demands a file that SARIF's schema takes, with N results; + is any number
// but none.
func cmdSARIF(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sarif FILE N|+")
	}
	schema, err := jsonschema.NewCompiler().Compile("../../internal/report/sarif/testdata/sarif-2.1.0.json")
	ts.Check(err)
	text := ts.ReadFile(args[0])
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	ts.Check(err)
	ts.Check(schema.Validate(v))
	var s struct {
		Runs []struct{ Results []struct{} }
	}
	ts.Check(json.Unmarshal([]byte(text), &s))
	if n := len(s.Runs[0].Results); strconv.Itoa(n) != args[1] && (args[1] != "+" || n == 0) {
		ts.Fatalf("%d results, want %s\n%s", n, args[1], text)
	}
}

package auditlog

import "testing"

// FuzzParseSplitView: no panic, and on an error nothing else.
func FuzzParseSplitView(f *testing.F) {
	f.Add([]byte(`{"format":"` + SplitFormat + `"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseSplitView("split", data)
		if (v == nil) == (err == nil) {
			t.Fatalf("%v with %v", v, err)
		}
	})
}

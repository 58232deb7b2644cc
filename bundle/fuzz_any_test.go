package bundle

import "testing"

// FuzzAnyBundle: what ParseBundle takes, ParseAny takes too and sees the same;
// neither panics, and on an error there is nothing else.
func FuzzAnyBundle(f *testing.F) {
	f.Add([]byte(`{"format":"` + BundleFormat + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		any, err := ParseAny("bundle", data)
		if (any == nil) == (err == nil) {
			t.Fatalf("%v with %v", any, err)
		}
		if b, berr := ParseBundle("bundle", data); berr == nil && (err != nil || string(b.Raw()) != string(any.Raw())) {
			t.Fatalf("ParseBundle takes it, ParseAny does not: %v", err)
		}
	})
}

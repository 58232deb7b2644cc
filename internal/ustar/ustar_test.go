package ustar_test

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/internal/ustar"
)

var limits = ustar.Limits{Bytes: 1 << 20, Files: 3}

func TestNoMoreIsUnpackedThanTheLimitsAllow(t *testing.T) {
	archive := func(names ...string) []byte {
		files := map[string][]byte{}
		for _, n := range names {
			files[n] = []byte(n)
		}
		data, err := ustar.Pack(files)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	three := archive("a", "b", "c/d")
	if files, err := ustar.Unpack("f", three, limits); err != nil || len(files) != 3 || string(files["c/d"]) != "c/d" {
		t.Errorf("%q, %v", files, err)
	}
	if _, err := ustar.Unpack("f", archive("a", "b", "c", "d"), limits); err == nil {
		t.Error("four files are unpacked where three are allowed")
	}
	if _, err := ustar.Unpack("f", three, ustar.Limits{Bytes: len(three) - 1, Files: 3}); err == nil {
		t.Error("an archive with a byte too many is unpacked")
	}
	for _, path := range []string{"", "/a", "a/", "../a", "a/./b", "a//b", "a\nb", string(make([]byte, 101))} {
		if _, err := ustar.Pack(map[string][]byte{path: nil}); err == nil {
			t.Errorf("%q is packed", path)
		}
	}
}

// What unpacks packs to the same bytes: no archive says a thing in two ways.
func FuzzUnpack(f *testing.F) {
	for _, files := range []map[string][]byte{{}, {"a": nil, "b/c": []byte("x")}, {"a": make([]byte, 512), "b": make([]byte, 513)}} {
		data, err := ustar.Pack(files)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := ustar.Unpack("f", data, limits)
		if err != nil {
			if files != nil {
				t.Fatal("files came with the error")
			}
			return
		}
		if again, err := ustar.Pack(files); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("packs to other bytes: %v", err)
		}
	})
}

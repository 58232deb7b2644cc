//go:build cgo && linux

package tpmdevice

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testtpm"
)

func TestAnIndexOfATPMIsWrittenByWhoeverHasItsAuthorisation(t *testing.T) {
	tcti := testtpm.NewMaker(t, t.TempDir()).Start("nv").TCTI
	const index = FirstNV + 0x1234
	auth := bytes.Repeat([]byte{5}, 32)
	if _, err := OpenNV(t.Context(), tcti, index, 128, auth); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before it is defined: %v", err)
	}
	value := bytes.Repeat([]byte{1}, 128)
	n, err := DefineNV(t.Context(), tcti, index, value, auth)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if got, err := n.Read(); err != nil || !bytes.Equal(got, value) {
			t.Fatalf("read %x: %v", got, err)
		}
		value = bytes.Repeat([]byte{byte(i)}, 128)
		if err := n.Write(value); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Write(value[1:]); err == nil {
		t.Error("a value of 127 bytes is written")
	}
	if _, err := DefineNV(t.Context(), tcti, index, value, auth); err == nil || !strings.Contains(err.Error(), "defined already") {
		t.Errorf("defined twice: %v", err)
	}
	// Another process, with the authorisation and without.
	m, err := OpenNV(t.Context(), tcti, index, 128, auth)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Read(); err != nil || !bytes.Equal(got, value) {
		t.Errorf("read %x: %v", got, err)
	}
	if wrong, err := OpenNV(t.Context(), tcti, index, 128, []byte("wrong")); err != nil {
		t.Error(err)
	} else {
		if _, err := wrong.Read(); err == nil {
			t.Error("it is read with another authorisation")
		}
		if err := wrong.Write(value); err == nil {
			t.Error("it is written with another authorisation")
		}
		_ = wrong.Close() // its session may be gone
	}
	if _, err := OpenNV(t.Context(), tcti, index, 64, auth); err == nil || !strings.Contains(err.Error(), "somebody else's") {
		t.Errorf("of another size: %v", err)
	}
	if _, err := OpenNV(t.Context(), tcti, 0x01c00002, 128, auth); err == nil || !strings.Contains(err.Error(), "none of an owner's") {
		t.Errorf("an index of the maker's: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := m.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := OpenNV(t.Context(), tcti, index, 128, auth); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("once it is removed: %v", err)
	}
}

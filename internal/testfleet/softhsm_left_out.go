//go:build !cgo || !unix

package testfleet

import "testing"

// Main runs a package's tests.
func Main(m *testing.M) int { return m.Run() }

// SoftHSM skips: this build has no PKCS#11.
func SoftHSM(t testing.TB, _ Options) *Fleet {
	t.Helper()
	absent(t, "this build has no PKCS#11")
	return nil
}

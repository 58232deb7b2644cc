// Package tpmdevice speaks to TPMs: it has one attest a key that tpm2-pkcs11 made
// in it, and it does both sides of the enrolment by which an authority comes to
// certify a TPM's attestation key (AK).
//
// What it collects is judged by attest/tpm, which knows nothing of this package.
// It is part of the program that reaches HSMs alone: built without cgo, all of it
// answers with hsm.ErrLeftOut.
package tpmdevice

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Source says where a TPM is and what its operator has of it.
type Source struct {
	// TCTI is the way to the TPM, as tpm2-tss writes it: see [parseTCTI].
	TCTI string
	// AK is the attestation key's certificate and those above it, PEM.
	AK []byte
	// EK is what stands above the endorsement key's certificate, PEM: the TPM has
	// that one itself, and its maker publishes the others. It may be missing.
	EK []byte
	// Store is the file of tpm2-pkcs11's store.
	Store string
	// Label is the token's.
	Label string
}

// address is where a TPM listens: a device, a Unix socket or a TCP address.
type address struct{ Network, Path string }

// deviceFile is the network of a TPM that the kernel gives to programs as a file.
const deviceFile = "device"

// parseTCTI reads the ways to a TPM that are taken: device:/dev/tpmrm0, the
// kernel's resource manager, and for an emulator swtpm:path=/a/socket or
// swtpm:host=127.0.0.1,port=2321.
func parseTCTI(s string) (address, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "device":
		if filepath.IsAbs(rest) {
			return address{deviceFile, rest}, nil
		}
	case "swtpm":
		fields := map[string]string{}
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(part, "=")
			if _, twice := fields[name]; twice || value == "" {
				return address{}, badTCTI(s)
			}
			fields[name] = value
		}
		port, err := strconv.ParseUint(fields["port"], 10, 16)
		switch {
		case len(fields) == 1 && filepath.IsAbs(fields["path"]):
			return address{"unix", fields["path"]}, nil
		case len(fields) == 2 && err == nil && port > 0 && fields["host"] != "":
			return address{"tcp", net.JoinHostPort(fields["host"], fields["port"])}, nil
		}
	}
	return address{}, badTCTI(s)
}

func badTCTI(s string) error {
	return fmt.Errorf("%q is no way to a TPM that is taken: device:/dev/tpmrm0, swtpm:path=/SOCKET, swtpm:host=HOST,port=PORT", s)
}

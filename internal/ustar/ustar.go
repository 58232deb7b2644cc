// Package ustar writes and reads tar archives of one form (POSIX.1-1988, ustar):
// the same files always give the same bytes, and any other form is refused.
package ustar

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// blockSize is that of POSIX.1-1988's ustar: a header has one block, and
// contents are filled up with zeros to whole ones.
const blockSize = 512

var zeros [blockSize]byte

// header is the one header that a file may have: mode 0644, and zeros for time,
// owner and device, so that the same files give the same bytes.
func header(path string, size int) (h [blockSize]byte) {
	copy(h[0:100], path)
	copy(h[100:], "0000644\x00"+"0000000\x00"+"0000000\x00") // mode, owner, group
	copy(h[124:], fmt.Appendf(nil, "%011o\x00", size))
	copy(h[136:], "00000000000\x00"+"        "+"0") // time, sum, type
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x00"+"0000000\x00") // device
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Appendf(nil, "%06o\x00 ", sum))
	return h
}

// padding is how many zeros follow a content.
func padding(size int) int { return (blockSize - size%blockSize) % blockSize }

// Limits are what Unpack takes.
type Limits struct{ Bytes, Files int }

// Pack writes an uncompressed ustar archive: files in bytewise order, and two
// blocks of zeros at the end.
func Pack(files map[string][]byte) ([]byte, error) {
	paths, total := slices.Sorted(maps.Keys(files)), 2*blockSize
	for _, path := range paths {
		if err := CheckPath(path); err != nil {
			return nil, err
		}
		total += blockSize + len(files[path]) + padding(len(files[path]))
	}
	b := make([]byte, 0, total)
	for _, path := range paths {
		h, data := header(path, len(files[path])), files[path]
		b = append(append(append(b, h[:]...), data...), zeros[:padding(len(data))]...)
	}
	return append(append(b, zeros[:]...), zeros[:]...), nil
}

// Offset is where the contents of one of the files begin in the archive that Pack writes
// of them; -1 where it isn't among them.
func Offset(files map[string][]byte, path string) int {
	at := 0
	for _, p := range slices.Sorted(maps.Keys(files)) {
		at += blockSize
		if p == path {
			return at
		}
		at += len(files[p]) + padding(len(files[p]))
	}
	return -1
}

// CheckPath refuses paths that could mean something else when unpacked.
func CheckPath(path string) error {
	if path == "" || len(path) > 100 {
		return fmt.Errorf("path %q has %d bytes; 1 to 100 are allowed", path, len(path))
	}
	for part := range strings.SplitSeq(path, "/") {
		if err := strict.CheckToken(part); err != nil || part == "." || part == ".." {
			return fmt.Errorf("path %q is not one of plain names", path)
		}
	}
	return nil
}

// errForm is the refusal of an archive that Pack didn't write.
func errForm(file string) error {
	return strict.Errorf(file, "is not in the one form of an evidence archive (ustar, sorted, mode 0644, zero times and owners)").
		WithHint("if it was repacked, unpack it and verify the folder instead")
}

// Unpack reads an archive that Pack could have written and refuses any other:
// each header is written again and compared. So no byte of an archive is
// without meaning, and no two readers can see different files in it. The
// contents are slices of data.
func Unpack(file string, data []byte, most Limits) (map[string][]byte, error) {
	if len(data) > most.Bytes {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), most.Bytes)
	}
	files, last := map[string][]byte{}, ""
	for rest := data; ; {
		if len(rest) < blockSize {
			return nil, strict.Errorf(file, "is no tar archive: it ends in the middle of a header, or without its end")
		}
		if bytes.Equal(rest[:blockSize], zeros[:]) {
			if len(rest) != 2*blockSize || !bytes.Equal(rest[blockSize:], zeros[:]) {
				return nil, errForm(file)
			}
			return files, nil
		}
		path, size, err := readHeader(rest[:blockSize])
		if err != nil {
			return nil, strict.Errorf(file, "%v", err)
		}
		switch _, twice := files[path]; {
		case twice:
			return nil, strict.Errorf(file, "has %q twice", path)
		case len(files) >= most.Files:
			return nil, strict.Errorf(file, "holds more than %d files", most.Files)
		case size > len(rest)-blockSize || size+padding(size) > len(rest)-blockSize:
			return nil, strict.Errorf(file, "%s: claims %d bytes, more than the archive has", path, size)
		}
		end := blockSize + size
		if h := header(path, size); !bytes.Equal(rest[:blockSize], h[:]) || path <= last ||
			!bytes.Equal(rest[end:end+padding(size)], zeros[:padding(size)]) {
			return nil, errForm(file)
		}
		files[path], last = rest[blockSize:end:end], path
		rest = rest[end+padding(size):]
	}
}

// readHeader takes path and size out of a header. All else in it follows from
// them.
func readHeader(h []byte) (path string, size int, err error) {
	if string(h[257:262]) != "ustar" {
		return "", 0, fmt.Errorf("is no tar archive: a header is no ustar header")
	}
	name, _, _ := bytes.Cut(h[:100], zeros[:1])
	if err := CheckPath(string(name)); err != nil {
		return "", 0, err
	}
	digits, _, _ := bytes.Cut(h[124:136], zeros[:1])
	n, err := strconv.ParseUint(string(digits), 8, 40)
	if err != nil {
		return "", 0, fmt.Errorf("is no tar archive: %s has no size", name)
	}
	return string(name), int(n), nil
}

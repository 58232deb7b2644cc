package monitor

import (
	"encoding/binary"
	"fmt"
)

// Broken is the error that the log serves something else than the tree that it
// signed.
type Broken struct {
	Where string // the file, as tlog-tiles names it
	Why   string
}

func (b *Broken) Error() string { return b.Where + ": " + b.Why }

func broken(where, format string, args ...any) error {
	return &Broken{where, fmt.Sprintf(format, args...)}
}

// parseTile reads a tile: from 1 to 256 hashes and nothing else.
func parseTile(name string, data []byte) ([][32]byte, error) {
	if len(data) == 0 || len(data)%32 != 0 || len(data) > maxTile {
		return nil, broken(name, "has %d bytes; a tile has from 1 to %d hashes of 32", len(data), width)
	}
	list := make([][32]byte, len(data)/32)
	for i := range list {
		list[i] = [32]byte(data[32*i:])
	}
	return list, nil
}

// parseEntries reads an entry bundle: from 1 to 256 entries, each after its
// length in two bytes, big-endian, and nothing else. The entries are parts of
// data.
func parseEntries(name string, data []byte) ([][]byte, error) {
	var list [][]byte
	for rest := data; len(rest) > 0; {
		if len(list) == width {
			return nil, broken(name, "has more than %d entries", width)
		}
		if len(rest) < 2 {
			return nil, broken(name, "ends within an entry's length")
		}
		n := int(binary.BigEndian.Uint16(rest))
		if rest = rest[2:]; len(rest) < n {
			return nil, broken(name, "ends within an entry of %d bytes", n)
		}
		list = append(list, rest[:n:n])
		rest = rest[n:]
	}
	if len(list) == 0 {
		return nil, broken(name, "has no entry")
	}
	return list, nil
}

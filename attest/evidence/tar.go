package evidence

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Pack writes an uncompressed ustar archive (POSIX.1-1988): files in bytewise
// order, mode 0644, and zeros for time, owner and device, so that the same
// files give the same bytes.
func Pack(files Files) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range files.Paths() {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(files[path])),
			ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[path]); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Unpack reads an archive that Pack could have written and refuses any other:
// packing what was read must give the same bytes. So no byte of an archive is
// without meaning, and no two readers can see different files in it.
func Unpack(file string, data []byte) (Files, error) {
	if len(data) > MaxPackage {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), MaxPackage)
	}
	files, left := Files{}, int64(len(data))
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, strict.Errorf(file, "is no tar archive: %v", err)
		}
		if err := checkPath(h.Name); err != nil {
			return nil, strict.Errorf(file, "%v", err)
		}
		if _, twice := files[h.Name]; twice {
			return nil, strict.Errorf(file, "has %q twice", h.Name)
		}
		if len(files) >= maxFiles {
			return nil, strict.Errorf(file, "holds more than %d files", maxFiles)
		}
		// All files together can't exceed the archive that holds them. Some of
		// tar's dialects say otherwise: a sparse file is a header and any number
		// of zeros that aren't there.
		if h.Size > left {
			return nil, strict.Errorf(file, "%s: claims %d bytes, more than the archive has", h.Name, h.Size)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, strict.Errorf(file, "%s: %v", h.Name, err)
		}
		left -= int64(len(content))
		files[h.Name] = content
	}
	again, err := Pack(files)
	if err != nil || !bytes.Equal(again, data) {
		return nil, strict.Errorf(file, "is not in the one form of an evidence archive (ustar, sorted, mode 0644, zero times and owners)").
			WithHint("if it was repacked, unpack it and verify the folder instead")
	}
	return files, nil
}

package evidence_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const block = 512

// headers are the offsets of the archive's headers.
func headers(t *testing.T, archive []byte) (list []int) {
	t.Helper()
	for at := 0; at+block <= len(archive) && archive[at] != 0; {
		list = append(list, at)
		var size int
		if _, err := fmt.Sscanf(string(archive[at+124:at+135]), "%o", &size); err != nil {
			t.Fatal(err)
		}
		at += block + (size+block-1)/block*block
	}
	return list
}

// checksummed makes a changed header valid again (POSIX.1-1988, ustar).
func checksummed(archive []byte, at int) []byte {
	h := archive[at : at+block]
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return archive
}

func TestNoChangeOfTheArchiveIsVerified(t *testing.T) {
	w := newWorld(t, testfleet.New)
	good := w.good.Archive
	rnd := rand.New(rand.NewPCG(5, 6))
	count := map[string]int{}
	judge := func(kind, how string, data []byte) {
		t.Helper()
		if bytes.Equal(data, good) {
			return
		}
		count[kind]++
		if r, err := w.verify(data); err != nil || r.Verified || len(r.Problems) == 0 {
			t.Errorf("%s: %s: error %v, verified %v", kind, how, err, r != nil && r.Verified)
		}
	}
	list := headers(t, good)
	if len(list) != len(w.good.Files) {
		t.Fatalf("%d headers for %d files", len(list), len(w.good.Files))
	}
	for n, at := range list {
		for i := range block {
			// Every byte of the first and the last header, a sample of the others'.
			if n > 0 && n < len(list)-1 && rnd.IntN(16) > 0 && !full {
				continue
			}
			for _, x := range []byte{1 << rnd.IntN(8), 0xff, good[at+i]} { // the last makes it zero
				data := bytes.Clone(good)
				data[at+i] ^= x
				judge("header bytes", fmt.Sprintf("byte %d of the header at %d", i, at), data)
				judge("header bytes, with a right checksum", fmt.Sprintf("byte %d of the header at %d", i, at), checksummed(bytes.Clone(data), at))
			}
		}
	}
	end := list[len(list)-1]
	for at := range good { // padding, and the two last blocks
		if good[at] == 0 && (full || rnd.IntN(4) == 0) && (at > end+block || at%block > 500) {
			data := bytes.Clone(good)
			data[at] = 'x'
			judge("padding", fmt.Sprintf("byte %d", at), data)
		}
	}
	for n := 0; n < len(good); n += 1 + rnd.IntN(block) {
		judge("cut off", fmt.Sprintf("to %d bytes", n), good[:n])
	}
	judge("appended", "a byte", append(bytes.Clone(good), 0))
	judge("appended", "a block of zeros", append(bytes.Clone(good), make([]byte, block)...))
	judge("appended", "another archive", append(bytes.Clone(good), w.stranger.Archive...))
	judge("appended", "itself", append(bytes.Clone(good), good...))
	judge("prepended", "a block of zeros", append(make([]byte, block), good...))
	for name, data := range rewritten(t, w.good.Files) {
		judge("written otherwise", name, data)
	}
	t.Logf("%v", count)
}

// rewritten are archives of the same files that other programs would write,
// and some that only an attacker would.
func rewritten(t *testing.T, files evidence.Files) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	for name, edit := range map[string]func(i int, h *tar.Header){
		"pax":          func(_ int, h *tar.Header) { h.Format = tar.FormatPAX },
		"gnu":          func(_ int, h *tar.Header) { h.Format = tar.FormatGNU },
		"mode 0600":    func(_ int, h *tar.Header) { h.Mode = 0o600 },
		"an owner":     func(_ int, h *tar.Header) { h.Uname = "root" },
		"a time":       func(_ int, h *tar.Header) { h.ModTime = time.Unix(1, 0) },
		"./ before":    func(_ int, h *tar.Header) { h.Name = "./" + h.Name },
		"/ before":     func(_ int, h *tar.Header) { h.Name = "/" + h.Name },
		"../ before":   func(i int, h *tar.Header) { h.Name = "../" + h.Name },
		"a folder":     func(i int, h *tar.Header) { h.Name = "x/" + h.Name },
		"a hidden one": func(i int, h *tar.Header) { h.Name = "." + h.Name },
		"pax records": func(_ int, h *tar.Header) {
			h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"FLEETCTL.note": "hidden"}
		},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i, path := range files.Paths() {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(files[path])), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
			edit(i, h)
			must(0, w.WriteHeader(h))
			must(w.Write(files[path]))
		}
		must(0, w.Close())
		list[name] = b.Bytes()
	}
	extra := func(h *tar.Header, content string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h.Size, h.Mode, h.ModTime, h.Format = int64(len(content)), 0o644, time.Unix(0, 0), tar.FormatUSTAR
		must(0, w.WriteHeader(h))
		must(w.Write([]byte(content)))
		must(0, w.Flush())
		return append(b.Bytes(), must(evidence.Pack(files))...)
	}
	list["a file before"] = extra(&tar.Header{Typeflag: tar.TypeReg, Name: "0"}, "hidden")
	list["a file twice"] = extra(&tar.Header{Typeflag: tar.TypeReg, Name: ceremony.PlanFile}, "format: another")
	list["a link"] = extra(&tar.Header{Typeflag: tar.TypeSymlink, Name: "0", Linkname: "/etc/passwd"}, "")
	list["a directory"] = extra(&tar.Header{Typeflag: tar.TypeDir, Name: "0/"}, "")
	list["a device"] = extra(&tar.Header{Typeflag: tar.TypeChar, Name: "0", Devmajor: 1, Devminor: 3}, "")
	var z bytes.Buffer
	g := gzip.NewWriter(&z)
	must(g.Write(must(evidence.Pack(files))))
	must(0, g.Close())
	list["gzip"] = z.Bytes()
	return list
}

// sparse is an archive of GNU sparse files: headers alone, each of which claims
// size zeros.
func sparse(n, size int) []byte {
	var b []byte
	for i := range n {
		h := make([]byte, block)
		copy(h, fmt.Sprintf("attestations/%05d", i))
		copy(h[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00")
		h[156] = tar.TypeGNUSparse
		copy(h[257:], "ustar  \x00")
		copy(h[386:], fmt.Sprintf("%011o\x0000000000000\x00", size))
		copy(h[483:], fmt.Sprintf("%011o\x00", size))
		b = append(b, checksummed(h, 0)...)
	}
	return append(b, make([]byte, 2*block)...)
}

// Half a megabyte of headers once took two gigabytes of memory.
func TestASmallArchiveTakesLittleMemory(t *testing.T) {
	for _, c := range []struct{ n, size int }{{1000, 500_000}, {2, 1 << 20}, {1, 8<<30 - 1}} {
		data := sparse(c.n, c.size)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		files, err := evidence.Unpack("x.tar", data)
		runtime.ReadMemStats(&after)
		if err == nil || files != nil || !strings.Contains(err.Error(), "is not in the one form") {
			t.Errorf("%d of %d bytes: %v", c.n, c.size, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("%d of %d bytes: an archive of %d bytes takes %d of memory", c.n, c.size, len(data), used)
		}
	}
}

func TestUnpackSaysWhatIsWrong(t *testing.T) {
	files := evidence.Files{"a": []byte("one"), "b/c": []byte("two")}
	good := must(evidence.Pack(files))
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"no tar", []byte(strings.Repeat("x", 1024)), "x.tar: is no tar archive"},
		{"cut", good[:len(good)/2], "x.tar: "},
		{"one zero block", good[:len(good)-block], "is not in the one form of an evidence archive"},
		{"trailing", append(bytes.Clone(good), 1), "is not in the one form of an evidence archive"},
	} {
		got, err := evidence.Unpack("x.tar", c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: %v, %v; want %q", c.name, got, err, c.want)
		}
	}
	for _, path := range []string{"", "/a", "../a", "a/../b", "a//b", "a/", ".", "a b", "ä", strings.Repeat("x", 101)} {
		data, err := evidence.Pack(evidence.Files{path: []byte("x")})
		if err != nil {
			continue // tar itself can't
		}
		if got, err := evidence.Unpack("x.tar", data); err == nil {
			t.Errorf("path %q is unpacked: %v", path, got)
		}
	}
	got := must(evidence.Unpack("x.tar", good))
	if len(got) != 2 || string(got["b/c"]) != "two" {
		t.Errorf("unpacks as %v", got)
	}
}

// The writer of archive/tar, told to write as POSIX.1-1988 has it, gives the
// same bytes: the form is nobody's own.
func TestAnArchiveIsWhatOtherProgramsWrite(t *testing.T) {
	files := evidence.Files{"a": {}, strings.Repeat("x", 100): []byte("y"), "b/c": make([]byte, block), "d": make([]byte, 70_000)}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, path := range files.Paths() {
		must(0, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(files[path])), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}))
		must(w.Write(files[path]))
	}
	must(0, w.Close())
	if !bytes.Equal(must(evidence.Pack(files)), b.Bytes()) {
		t.Error("the archives differ")
	}
	got := must(evidence.Unpack("x.tar", b.Bytes()))
	if len(got) != len(files) || len(got["d"]) != 70_000 || got["a"] == nil {
		t.Errorf("unpacks as %d files", len(got))
	}
	claims := bytes.Clone(b.Bytes())
	copy(claims[124:], "77777777777")
	if _, err := evidence.Unpack("x.tar", checksummed(claims, 0)); err == nil || !strings.Contains(err.Error(), "more than the archive has") {
		t.Errorf("a file of 8 GB in it: %v", err)
	}
}

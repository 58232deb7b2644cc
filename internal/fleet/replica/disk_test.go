package replica_test

import (
	"bytes"
	"os"

	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// copyOf copies what is on a node's disk: what somebody with a second disk does.
func (f *fleet) copyOf(n *node) map[string][]byte {
	f.Helper()
	files := map[string][]byte{}
	list, err := n.disk.ReadDir(n.disk.Path())
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range list {
		if e.IsDir() {
			f.Fatalf("a folder in the node's: %s", e.Name())
		}
		file, err := n.disk.OpenFile(n.disk.Path(e.Name()), os.O_RDONLY, 0)
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(file); err != nil {
			f.Fatal(err)
		}
		files[e.Name()] = b.Bytes()
	}
	if len(files) == 0 {
		f.Fatal("nothing is on the disk")
	}
	return files
}

// putBack gives a node that doesn't run the disk that was copied.
func (f *fleet) putBack(n *node, files map[string][]byte) {
	f.Helper()
	n.disk = simdisk.New(f, f.seed)
	for name, data := range files {
		file, err := n.disk.OpenFile(n.disk.Path(name), os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil && len(data) > 0 {
			_, err = file.Write(data)
		}
		if err == nil {
			err = file.Sync()
		}
		if err == nil {
			err = n.disk.SyncDir(n.disk.Path())
		}
		if err != nil {
			f.Fatal(err)
		}
	}
}

// holds says whether one of the node's files has some bytes in it.
func (f *fleet) holds(n *node, what []byte) string {
	f.Helper()
	for name, data := range f.copyOf(n) {
		if bytes.Contains(data, what) {
			return name
		}
	}
	return ""
}

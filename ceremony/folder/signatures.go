package folder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// All of a ceremony's folder but the private one is published, so an interruption must
// leave no file in it that nobody meant to publish. Temporary files are written in the
// private folder. A text that was stored without its signature, because its signer was
// interrupted, is set aside before files are listed; its signer signs again.

// Temp is the folder of a ceremony's temporary files.
func Temp(root string) durable.Temp {
	return durable.Temp(filepath.Join(root, ceremony.PrivateDir, "temp"))
}

// signatureFolders are the folders of what people signed.
var signatureFolders = []string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir, ceremony.CloseSignoffDir}

// readSigned reads a folder of signatures. leftover are the names of the other files:
// texts without a signature, and hidden files.
func readSigned(root, dir string) (files map[string][]byte, leftover []string, err error) {
	entries, err := signedEntries(root, dir)
	if err != nil {
		return nil, nil, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	files = map[string][]byte{}
	for _, e := range entries {
		name := e.Name()
		text, isSig := strings.CutSuffix(name, ceremony.SigSuffix)
		path := filepath.Join(root, dir, name)
		switch {
		case !e.Type().IsRegular():
			return nil, nil, strict.Errorf(path, "is no regular file").WithHint("only texts and their signatures stand here: move it away")
		case strings.HasPrefix(name, "."), !isSig && dir == ceremony.PlanApprovalsDir, !isSig && !there[name+ceremony.SigSuffix]:
			leftover = append(leftover, name)
			continue
		case isSig && dir != ceremony.PlanApprovalsDir && !there[text]:
			return nil, nil, strict.Errorf(path, "signs a text that is not beside it").
				WithHint("put the text %s beside it, or, if nobody has it, move this file into %s", text, filepath.Join(root, ceremony.PrivateDir))
		}
		if files[dir+"/"+name], err = durable.ReadFile(path); err != nil {
			return nil, nil, err
		}
	}
	return files, leftover, nil
}

// signedEntries lists such a folder, which need not exist. It refuses links, which could
// lead out of the ceremony's folder.
func signedEntries(root, dir string) ([]fs.DirEntry, error) {
	path := root
	for part := range strings.SplitSeq(dir, "/") {
		path = filepath.Join(path, part)
		info, err := durable.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, strict.Errorf(path, "is no folder").WithHint("what is published stands in the ceremony's folder itself: put the folder there in its place")
		}
	}
	return durable.ReadDir(path)
}

// ReadSignings is ceremony.Signings of a folder on the disk, without leftover files.
func ReadSignings(root, dir string) ([]ceremony.Signing, error) {
	files, _, err := readSigned(root, dir)
	if err != nil {
		return nil, err
	}
	return ceremony.Signings(files, dir)
}

// holdSigners keeps other processes from storing a signature, which is two files.
func holdSigners(root string) (unlock func(), err error) {
	private := filepath.Join(root, ceremony.PrivateDir)
	if err := durable.MkdirAll(private, 0o700); err != nil {
		return nil, err
	}
	return durable.Hold(filepath.Join(private, "signing.lock"))
}

// HoldSigners sets leftover files aside and calls read, while no other process can store
// a signature in the ceremony's folder. Every list of the folder's files is read like
// this, so that all of them agree.
func HoldSigners(root string, read func() error) error {
	unlock, err := holdSigners(root)
	if err != nil {
		return err
	}
	defer unlock()
	if err := tidy(root); err != nil {
		return err
	}
	return read()
}

// tidy sets leftover files aside. The caller holds the signers.
func tidy(root string) error {
	entries, err := durable.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch path := filepath.Join(root, e.Name()); {
		case !e.IsDir() && !e.Type().IsRegular():
			return strict.Errorf(path, "is no regular file").
				WithHint("everything in the folder is published, and stands there itself: put the file in its place, or move this away")
		case strings.HasPrefix(e.Name(), ".") && e.Type().IsRegular():
			if _, err := setAside(root, e.Name()); err != nil {
				return err
			}
		}
	}
	for _, dir := range signatureFolders {
		_, leftover, err := readSigned(root, dir)
		if err != nil {
			return err
		}
		for _, name := range leftover {
			if _, err := setAside(root, dir+"/"+name); err != nil {
				return err
			}
		}
		if err := settleSignatures(root, dir); err != nil {
			return err
		}
	}
	return nil
}

// setAside moves a file into the private folder, and returns its new path. Nothing is
// deleted.
func setAside(root, path string) (string, error) {
	from := filepath.Join(root, path)
	data, err := durable.ReadFile(from)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	folder := filepath.Join(root, ceremony.PrivateDir, "set-aside")
	if err := durable.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	to := filepath.Join(folder, fmt.Sprintf("%s-%x", strings.ReplaceAll(path, "/", "-"), sum[:4]))
	if err := Temp(root).Replace(to, data, 0o600); err != nil { // the name has the digest: a file there is the same
		return "", err
	}
	if err := durable.Remove(from); err != nil {
		return "", err
	}
	return to, durable.SyncDir(filepath.Dir(from))
}

// ReadPublishedSignatures reads the files in ceremony.SignedDirs, by path: a request
// carries them, and records list them.
func ReadPublishedSignatures(root string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, dir := range ceremony.SignedDirs {
		files, leftover, err := readSigned(root, dir)
		if err != nil {
			return nil, err
		}
		if len(leftover) > 0 {
			slices.Sort(leftover)
			return nil, strict.Errorf(filepath.Join(root, dir, leftover[0]), "is no signature, and no text with one beside it")
		}
		for path, data := range files {
			all[path] = data
		}
	}
	return all, nil
}

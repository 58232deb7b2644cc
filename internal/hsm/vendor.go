//go:build cgo && unix

package hsm

/*
#cgo linux LDFLAGS: -ldl

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { SQLITE_OK = 0, SQLITE_ROW = 100, SQLITE_OPEN_READONLY = 1, FLEET_COLUMNS = 5, FLEET_COLUMN = 8192 };

typedef struct { int len[FLEET_COLUMNS]; unsigned char data[FLEET_COLUMNS][FLEET_COLUMN]; } fleet_row;

// fleet_sealed asks the SQLite that the module itself brought along, and no
// other: only that one knows which locks on the file this process has.
static const char *fleet_sealed(const char *library, const char *path, const char *label, fleet_row *row)
{
	void *lib = dlopen(library, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
	if (lib == NULL) {
		return "the SQLite of tpm2-pkcs11 is not loaded";
	}
	int (*open)(const char *, void **, int, const char *) = dlsym(lib, "sqlite3_open_v2");
	int (*wait)(void *, int) = dlsym(lib, "sqlite3_busy_timeout");
	int (*prepare)(void *, const char *, int, void **, const char **) = dlsym(lib, "sqlite3_prepare_v2");
	int (*bind)(void *, int, const char *, int, void *) = dlsym(lib, "sqlite3_bind_text");
	int (*step)(void *) = dlsym(lib, "sqlite3_step");
	const void *(*blob)(void *, int) = dlsym(lib, "sqlite3_column_blob");
	int (*bytes)(void *, int) = dlsym(lib, "sqlite3_column_bytes");
	int (*finalize)(void *) = dlsym(lib, "sqlite3_finalize");
	int (*close)(void *) = dlsym(lib, "sqlite3_close");
	if (!open || !wait || !prepare || !bind || !step || !blob || !bytes || !finalize || !close) {
		return "the SQLite of tpm2-pkcs11 lacks a function";
	}
	void *db = NULL, *query = NULL;
	const char *why = NULL;
	if (open(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
		why = "it can't be opened";
	} else if (wait(db, 5000) != SQLITE_OK || prepare(db,
		"SELECT s.userpub, s.userpriv, s.userauthsalt, p.config, p.objauth FROM tokens t"
		" JOIN sealobjects s ON s.tokid = t.id JOIN pobjects p ON p.id = t.pid WHERE t.label = ?1", -1, &query, NULL) != SQLITE_OK) {
		why = "it has not the tables of tpm2-pkcs11 1.9";
	} else if (bind(query, 1, label, -1, NULL) != SQLITE_OK || step(query) != SQLITE_ROW) {
		why = "it has no such token whose user has a PIN";
	}
	for (int i = 0; why == NULL && i < FLEET_COLUMNS; i++) {
		const void *p = blob(query, i);
		row->len[i] = bytes(query, i);
		if (row->len[i] > FLEET_COLUMN) {
			why = "a value in it is too long";
		} else if (p != NULL) {
			memcpy(row->data[i], p, row->len[i]);
		}
	}
	if (why == NULL && step(query) == SQLITE_ROW) {
		why = "it has two tokens with this label";
	}
	finalize(query);
	close(db);
	return why;
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// VendorAttributes reads attributes of a private key that are its vendor's own
// (CKA_VENDOR_DEFINED), in the order asked. One that the token doesn't have is
// nil. What they mean, the caller knows by the module that it opened.
func (t *Token) VendorAttributes(id []byte, types ...uint) ([][]byte, error) {
	for _, typ := range types {
		if typ&pkcs11.CKA_VENDOR_DEFINED == 0 {
			return nil, fmt.Errorf("attribute %#x is no vendor's own", typ)
		}
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	h, err := t.half(privateHalf, id)
	if err != nil {
		return nil, t.wrap(err)
	}
	values := make([][]byte, len(types))
	for i, typ := range types {
		if values[i], err = t.optional(h, typ); err != nil {
			return nil, t.wrap(keyErr(err, privateHalf, id))
		}
	}
	return values, nil
}

// sqliteLibraries are what systems call SQLite.
var sqliteLibraries = []string{"libsqlite3.so.0", "libsqlite3.so", "libsqlite3.dylib"}

// SealedTPM reads from the store of tpm2-pkcs11, a file of SQLite, what a token's
// TPM keeps behind the user's PIN. The module has to be loaded.
func SealedTPM(store, label string) (s SealedKey, err error) {
	path, name := newCString(store), newCString(label)
	defer path.free()
	defer name.free()
	row := (*C.fleet_row)(C.calloc(1, C.sizeof_fleet_row))
	defer C.free(unsafe.Pointer(row))
	var why string
	for _, library := range sqliteLibraries {
		lib := newCString(library)
		reason := C.fleet_sealed(lib.p, path.p, name.p, row)
		lib.free()
		if reason == nil {
			column := func(i int) []byte { return C.GoBytes(unsafe.Pointer(&row.data[i][0]), row.len[i]) }
			return SealedKey{Public: column(0), Private: column(1), Salt: column(2), Parent: string(column(3)), ParentAuth: column(4)}, nil
		}
		if why == "" || C.GoString(reason) != "the SQLite of tpm2-pkcs11 is not loaded" {
			why = C.GoString(reason)
		}
	}
	return s, strict.Errorf(store, "the token %q can't be looked up: %s", strict.Clip(label), why).
		WithHint("this is the file tpm2_pkcs11.sqlite3 in the folder that TPM2_PKCS11_STORE names")
}

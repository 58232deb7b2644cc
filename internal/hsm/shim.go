//go:build cgo && unix

package hsm

/*
#cgo linux LDFLAGS: -ldl

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ck_ulong;
typedef unsigned char ck_byte;
typedef ck_ulong ck_rv;

typedef struct { ck_ulong type; void *value; ck_ulong len; } ck_attribute;
typedef struct { ck_ulong mechanism; void *parameter; ck_ulong len; } ck_mechanism;

// CK_SIGN_ADDITIONAL_CONTEXT of PKCS#11 3.2.
typedef struct { ck_ulong hedge; ck_byte *context; ck_ulong len; } ck_sign_context;

// CK_FUNCTION_LIST: a version and 68 functions in the order of pkcs11f.h.
typedef struct { ck_byte version[2]; void *fn[68]; } fleet_functions;

enum { INIT_TOKEN = 9, INIT_PIN = 10, LOGIN = 18, GET_ATTRIBUTE_VALUE = 24, SIGN_INIT = 42, SIGN = 43, WRAP_KEY = 60 };
enum { OK = 0, HOST_MEMORY = 2, FUNCTION_NOT_SUPPORTED = 0x54 };

// CK_INTERFACE, and CK_FUNCTION_LIST_3_2: the 68 functions, 24 of 3.0, and then those of
// 3.2, of which C_EncapsulateKey is the first.
typedef struct { const char *name; void *list; ck_ulong flags; } fleet_interface;
typedef struct { ck_byte version[2]; void *fn[94]; } fleet_functions_3_2;

enum { DECAPSULATE_KEY = 93 };

// fleet_load gives the module's functions, or NULL and why. The module stays
// loaded: unloading crashes some of them.
static fleet_functions *fleet_load(const char *path, const char **why)
{
	void *module = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (module == NULL) {
		*why = dlerror();
		return NULL;
	}
	ck_rv (*get)(fleet_functions **) = (ck_rv (*)(fleet_functions **)) dlsym(module, "C_GetFunctionList");
	if (get == NULL) {
		*why = "it has no C_GetFunctionList";
		return NULL;
	}
	fleet_functions *list = NULL;
	if (get(&list) != OK || list == NULL) {
		*why = "its C_GetFunctionList fails";
		return NULL;
	}
	return list;
}

// fleet_load_3_2 gives the functions of PKCS#11 3.2, or NULL of a module that has none. It
// is the library that fleet_load loaded, so sessions and objects are the same.
static fleet_functions_3_2 *fleet_load_3_2(const char *path)
{
	void *module = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (module == NULL) {
		return NULL;
	}
	ck_rv (*get)(const char *, ck_byte *, fleet_interface **, ck_ulong) =
		(ck_rv (*)(const char *, ck_byte *, fleet_interface **, ck_ulong)) dlsym(module, "C_GetInterface");
	ck_byte version[2] = {3, 2};
	fleet_interface *i = NULL;
	if (get == NULL || get("PKCS 11", version, &i, 0) != OK || i == NULL || i->list == NULL) {
		return NULL;
	}
	fleet_functions_3_2 *list = i->list;
	// A module that has another version gives a shorter list, perhaps.
	return list->version[0] == 3 && list->version[1] >= 2 ? list : NULL;
}

// fleet_decapsulate has a key take the secret out of a ciphertext, as an object of the
// session that can be read.
static ck_rv fleet_decapsulate(fleet_functions_3_2 *l, ck_ulong session, ck_ulong mechanism, ck_ulong key, ck_byte *ciphertext, ck_ulong len, ck_ulong *secret)
{
	ck_rv (*f)(ck_ulong, ck_mechanism *, ck_ulong, ck_attribute *, ck_ulong, ck_byte *, ck_ulong, ck_ulong *) = l ? l->fn[DECAPSULATE_KEY] : NULL;
	ck_ulong class = 4, type = 0x10, size = 32; // CKO_SECRET_KEY, CKK_GENERIC_SECRET
	ck_byte yes = 1, no = 0;
	ck_attribute template[] = {
		{0x0, &class, sizeof class}, {0x100, &type, sizeof type}, {0x161, &size, sizeof size}, // CLASS, KEY_TYPE, VALUE_LEN
		{0x1, &no, 1}, {0x103, &no, 1}, {0x162, &yes, 1},                                     // TOKEN, SENSITIVE, EXTRACTABLE
	};
	ck_mechanism m = {mechanism, NULL, 0};
	return f ? f(session, &m, key, template, sizeof template / sizeof *template, ciphertext, len, secret) : FUNCTION_NOT_SUPPORTED;
}

static ck_rv fleet_init_token(fleet_functions *l, ck_ulong slot, ck_byte *pin, ck_ulong pinlen, ck_byte *label)
{
	ck_rv (*f)(ck_ulong, ck_byte *, ck_ulong, ck_byte *) = l->fn[INIT_TOKEN];
	return f ? f(slot, pin, pinlen, label) : FUNCTION_NOT_SUPPORTED;
}

static ck_rv fleet_init_pin(fleet_functions *l, ck_ulong session, ck_byte *pin, ck_ulong pinlen)
{
	ck_rv (*f)(ck_ulong, ck_byte *, ck_ulong) = l->fn[INIT_PIN];
	return f ? f(session, pin, pinlen) : FUNCTION_NOT_SUPPORTED;
}

static ck_rv fleet_login(fleet_functions *l, ck_ulong session, ck_ulong user, ck_byte *pin, ck_ulong pinlen)
{
	ck_rv (*f)(ck_ulong, ck_ulong, ck_byte *, ck_ulong) = l->fn[LOGIN];
	return f ? f(session, user, pin, pinlen) : FUNCTION_NOT_SUPPORTED;
}

static ck_rv fleet_get(fleet_functions *l, ck_ulong session, ck_ulong object, ck_ulong type, void *value, ck_ulong *len)
{
	ck_rv (*f)(ck_ulong, ck_ulong, ck_attribute *, ck_ulong) = l->fn[GET_ATTRIBUTE_VALUE];
	ck_attribute a = {type, value, *len};
	ck_rv rv = f ? f(session, object, &a, 1) : FUNCTION_NOT_SUPPORTED;
	*len = a.len;
	return rv;
}

// A mechanism's parameter points to the context, so both have to be C's memory.
static ck_rv fleet_sign_init(fleet_functions *l, ck_ulong session, ck_ulong mechanism, ck_byte *context, ck_ulong len, ck_ulong key)
{
	ck_rv (*f)(ck_ulong, ck_mechanism *, ck_ulong) = l->fn[SIGN_INIT];
	ck_sign_context c = {0, context, len}; // 0 is CKH_HEDGE_PREFERRED
	ck_mechanism m = {mechanism, &c, sizeof c};
	return f ? f(session, &m, key) : FUNCTION_NOT_SUPPORTED;
}

static ck_rv fleet_sign(fleet_functions *l, ck_ulong session, ck_byte *data, ck_ulong datalen, ck_byte *sig, ck_ulong *siglen)
{
	ck_rv (*f)(ck_ulong, ck_byte *, ck_ulong, ck_byte *, ck_ulong *) = l->fn[SIGN];
	return f ? f(session, data, datalen, sig, siglen) : FUNCTION_NOT_SUPPORTED;
}

static ck_rv fleet_wrap(fleet_functions *l, ck_ulong session, ck_mechanism *m, ck_ulong wrapping, ck_ulong key, ck_byte *out, ck_ulong *len)
{
	ck_rv (*f)(ck_ulong, ck_mechanism *, ck_ulong, ck_ulong, ck_byte *, ck_ulong *) = l->fn[WRAP_KEY];
	return f ? f(session, m, wrapping, key, out, len) : FUNCTION_NOT_SUPPORTED;
}

// A key that does come out is seen by nobody: it is written to memory of C's,
// overwritten and freed before the call returns.
enum { ROOM = 1 << 16 };

static void discard(ck_byte *p)
{
	volatile ck_byte *v = p;
	for (size_t i = 0; i < ROOM; i++) {
		v[i] = 0;
	}
	free(p);
}

static ck_rv fleet_try_export(fleet_functions *l, ck_ulong session, ck_ulong object, ck_ulong type)
{
	// Asked for its length first: NSS refuses a buffer that is larger.
	ck_ulong len = 0;
	ck_rv rv = fleet_get(l, session, object, type, NULL, &len);
	if (rv != OK || len == 0 || len > ROOM) {
		return rv;
	}
	ck_byte *out = calloc(1, ROOM);
	if (out == NULL) {
		return HOST_MEMORY;
	}
	rv = fleet_get(l, session, object, type, out, &len);
	discard(out);
	return rv;
}

static ck_rv fleet_try_wrap(fleet_functions *l, ck_ulong session, ck_ulong mechanism, int with_iv, ck_ulong wrapping, ck_ulong key)
{
	ck_byte iv[16] = {0};
	ck_mechanism m = {mechanism, NULL, 0};
	if (with_iv) {
		m.parameter = iv;
		m.len = sizeof iv;
	}
	ck_byte *out = calloc(1, ROOM);
	if (out == NULL) {
		return HOST_MEMORY;
	}
	ck_ulong len = ROOM;
	ck_rv rv = fleet_wrap(l, session, &m, wrapping, key, out, &len);
	discard(out);
	return rv;
}
*/
import "C"

import (
	"errors"
	"unsafe"
)

// functions are the calls that this package makes by itself instead of through
// miekg/pkcs11: PINs stay in the caller's memory (miekg/pkcs11 copies each PIN into C and
// leaves it there), a signature takes one call instead of two, each attribute is read by a
// call of its own, and a key that an attempt takes out is overwritten in C.
//
// later are those of PKCS#11 3.2, which miekg/pkcs11 doesn't know; nil of a module without.
type functions struct {
	list  *C.fleet_functions
	later *C.fleet_functions_3_2
}

func loadFunctions(path string) (functions, error) {
	p := newCString(path)
	defer p.free()
	var why *C.char
	list := C.fleet_load(p.p, &why)
	if list == nil {
		return functions{}, errors.New(C.GoString(why))
	}
	return functions{list, C.fleet_load_3_2(p.p)}, nil
}

// cString is a string of C's, for as long as C needs it.
type cString struct{ p *C.char }

func newCString(s string) cString { return cString{C.CString(s)} }
func (s cString) free()           { C.free(unsafe.Pointer(s.p)) }

// pointer is NULL for no bytes, which for a PIN means: ask at the device.
func pointer(b []byte) *C.ck_byte {
	if len(b) == 0 {
		return nil
	}
	return (*C.ck_byte)(unsafe.Pointer(&b[0]))
}

func (f functions) initToken(slot uint, pin []byte, label [32]byte) uint {
	return uint(C.fleet_init_token(f.list, C.ck_ulong(slot), pointer(pin), C.ck_ulong(len(pin)), pointer(label[:])))
}

func (f functions) initPIN(session uint, pin []byte) uint {
	return uint(C.fleet_init_pin(f.list, C.ck_ulong(session), pointer(pin), C.ck_ulong(len(pin))))
}

func (f functions) login(session, user uint, pin []byte) uint {
	return uint(C.fleet_login(f.list, C.ck_ulong(session), C.ck_ulong(user), pointer(pin), C.ck_ulong(len(pin))))
}

// get reads an attribute: first its length, then its value into a buffer of exactly that
// length, since NSS refuses a larger one. ok is false if the token has no value for it, or
// one larger than ROOM.
func (f functions) get(session, object, attribute uint) (value []byte, ok bool, rv uint) {
	var n C.ck_ulong
	r := C.fleet_get(f.list, C.ck_ulong(session), C.ck_ulong(object), C.ck_ulong(attribute), nil, &n)
	if r != C.OK || n > C.ROOM {
		return nil, false, uint(r)
	}
	value = make([]byte, n)
	r = C.fleet_get(f.list, C.ck_ulong(session), C.ck_ulong(object), C.ck_ulong(attribute), unsafe.Pointer(pointer(value)), &n)
	if n > C.ck_ulong(len(value)) {
		return nil, false, uint(r)
	}
	return value[:n], true, uint(r)
}

func (f functions) signInit(session, mechanism uint, context []byte, key uint) uint {
	return uint(C.fleet_sign_init(f.list, C.ck_ulong(session), C.ck_ulong(mechanism), pointer(context), C.ck_ulong(len(context)), C.ck_ulong(key)))
}

func (f functions) sign(session uint, data, sig []byte) (length, rv uint) {
	p := pointer(data)
	if p == nil {
		p = pointer([]byte{0}) // NULL would mean that there is no message
	}
	n := C.ck_ulong(len(sig))
	r := C.fleet_sign(f.list, C.ck_ulong(session), p, C.ck_ulong(len(data)), pointer(sig), &n)
	return uint(n), uint(r)
}

// opens says whether the module has C_DecapsulateKey.
func (f functions) opens() bool { return f.later != nil && f.later.fn[C.DECAPSULATE_KEY] != nil }

func (f functions) decapsulate(session, mechanism, key uint, ciphertext []byte) (secret, rv uint) {
	var o C.ck_ulong
	r := C.fleet_decapsulate(f.later, C.ck_ulong(session), C.ck_ulong(mechanism), C.ck_ulong(key), pointer(ciphertext), C.ck_ulong(len(ciphertext)), &o)
	return uint(o), uint(r)
}

func (f functions) tryExport(session, object, attribute uint) uint {
	return uint(C.fleet_try_export(f.list, C.ck_ulong(session), C.ck_ulong(object), C.ck_ulong(attribute)))
}

func (f functions) tryWrap(session, mechanism uint, withIV bool, wrapping, key uint) uint {
	iv := C.int(0)
	if withIV {
		iv = 1
	}
	return uint(C.fleet_try_wrap(f.list, C.ck_ulong(session), C.ck_ulong(mechanism), iv, C.ck_ulong(wrapping), C.ck_ulong(key)))
}

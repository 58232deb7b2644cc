// A PKCS#11 module for tests: SoftHSM with the faults of other tokens, each
// switched on by an environment variable. Built by the tests with cc.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ulong_t;
typedef struct { ulong_t type; unsigned char *value; ulong_t len; } attribute;
typedef struct { ulong_t mechanism; void *parameter; ulong_t len; } mechanism;
typedef struct { unsigned char version[2]; void *fn[68]; } functions;
// CK_TOKEN_INFO up to the flags.
typedef struct { unsigned char text[96]; ulong_t flags; ulong_t counts[10]; unsigned char rest[20]; } token_info;

static functions real, proxy;

static ulong_t number(const char *name)
{
	const char *s = getenv(name);
	return s ? strtoul(s, NULL, 0) : 0;
}

// PROXY_FLAGS are set in every token's flags.
static ulong_t get_token_info(ulong_t slot, token_info *info)
{
	ulong_t (*f)(ulong_t, token_info *) = real.fn[6];
	ulong_t rv = f(slot, info);
	info->flags |= number("PROXY_FLAGS");
	return rv;
}

// PROXY_POINT_RAW: CKA_EC_POINT comes without its OCTET STRING.
// PROXY_UNAVAILABLE: this attribute is CK_UNAVAILABLE_INFORMATION.
static ulong_t get_attribute(ulong_t session, ulong_t object, attribute *a, ulong_t n)
{
	ulong_t (*f)(ulong_t, ulong_t, attribute *, ulong_t) = real.fn[24];
	ulong_t rv = f(session, object, a, n);
	if (rv == 0 && number("PROXY_POINT_RAW") && a->type == 0x181 && a->value) {
		a->len -= 2;
		memmove(a->value, a->value + 2, a->len);
	}
	if (number("PROXY_UNAVAILABLE") && a->type == number("PROXY_UNAVAILABLE")) {
		a->len = (ulong_t) -1;
		return 0;
	}
	return rv;
}

// PROXY_UNKNOWN: a template with this attribute is refused.
// PROXY_NO_OIDS: CKA_EC_PARAMS must be a name.
static ulong_t generate_pair(ulong_t session, mechanism *m, attribute *pub, ulong_t npub, attribute *priv, ulong_t npriv, ulong_t *a, ulong_t *b)
{
	ulong_t (*f)(ulong_t, mechanism *, attribute *, ulong_t, attribute *, ulong_t, ulong_t *, ulong_t *) = real.fn[59];
	for (ulong_t i = 0; i < npriv; i++) {
		if (number("PROXY_UNKNOWN") && priv[i].type == number("PROXY_UNKNOWN")) {
			return 0x12;
		}
	}
	for (ulong_t i = 0; i < npub; i++) {
		if (number("PROXY_NO_OIDS") && pub[i].type == 0x180 && pub[i].value[0] == 0x06) {
			return 0x140;
		}
	}
	return f(session, m, pub, npub, priv, npriv, a, b);
}

// PROXY_UNDEAD: C_DestroyObject destroys nothing; 1: and lies, 2: and says so.
static ulong_t destroy(ulong_t session, ulong_t object)
{
	ulong_t (*f)(ulong_t, ulong_t) = real.fn[22];
	switch (number("PROXY_UNDEAD")) {
	case 1:
		return 0;
	case 2:
		return 0x1B;
	}
	return f(session, object);
}

// PROXY_SHORT: signatures are so many bytes too short.
static ulong_t sign(ulong_t session, unsigned char *data, ulong_t n, unsigned char *sig, ulong_t *len)
{
	ulong_t (*f)(ulong_t, unsigned char *, ulong_t, unsigned char *, ulong_t *) = real.fn[43];
	ulong_t rv = f(session, data, n, sig, len);
	*len -= number("PROXY_SHORT");
	return rv;
}

static ulong_t fail(void) { return 0x32; } // CKR_DEVICE_REMOVED

static ulong_t get_info(void *);

static void arm(void)
{
	proxy = real;
	proxy.fn[2] = get_info;
	proxy.fn[6] = get_token_info;
	proxy.fn[22] = destroy;
	proxy.fn[24] = get_attribute;
	proxy.fn[43] = sign;
	proxy.fn[59] = generate_pair;
	if (number("PROXY_FAIL")) {
		proxy.fn[number("PROXY_FAIL")] = fail;
	}
}

// PROXY_FAIL: the function of this number fails from the next C_GetInfo on.
static ulong_t get_info(void *info)
{
	ulong_t (*f)(void *) = real.fn[2];
	arm();
	return f(info);
}

ulong_t C_GetFunctionList(functions **out)
{
	void *module = dlopen(getenv("PROXY_MODULE"), RTLD_NOW | RTLD_LOCAL);
	if (module == NULL) {
		return 5;
	}
	ulong_t (*get)(functions **) = (ulong_t (*)(functions **)) dlsym(module, "C_GetFunctionList");
	functions *list;
	if (get == NULL || get(&list) != 0) {
		return 5;
	}
	real = *list;
	arm();
	*out = &proxy;
	return 0;
}

// A PKCS#11 module for tests: SoftHSM with the faults of other tokens, each
// switched on by an environment variable, and with faults at any one call of
// all that the processes of a test make. Built by the tests with cc.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

// Faults at the k-th call. PROXY_CALLS is a file that all processes of a test
// share: it counts their calls and notes each one's function. PROXY_FAULT says
// what becomes of call number PROXY_AT:
//
//	0x30 …       this code comes back, and nothing was done
//	late         it is done, and comes back as CKR_DEVICE_ERROR
//	gone         CKR_DEVICE_REMOVED, here and ever after
//	hang, stall  it never comes back; undone, done
//	segv, abort  the process dies; undone, done
//	raw, extractable, nolocal, unreadable
//	             from here on the token spells points otherwise, or lies
enum { NOTED = 1 << 20 };
static struct { ulong_t count; unsigned char function[NOTED]; } *calls;

static int is(const char *fault)
{
	const char *s = getenv("PROXY_FAULT");
	return s && strcmp(s, fault) == 0;
}

static void hang(void)
{
	// Bounded, lest a test that fails leaves processes behind.
	for (int i = 0; i < 60; i++) {
		sleep(1);
	}
}

static ulong_t lie(attribute *a, ulong_t rv)
{
	if (is("extractable") && a->type == 0x162 && a->value && rv == 0) {
		*a->value = 1;
	}
	if (is("nolocal") && a->type == 0x163) {
		a->len = (ulong_t) -1;
		return 0x12;
	}
	if (is("unreadable") && a->type == 0x164) {
		a->len = (ulong_t) -1;
		return 0;
	}
	if (is("raw") && a->type == 0x181 && a->value && rv == 0) {
		a->len -= 2;
		memmove(a->value, a->value + 2, a->len);
	}
	return rv;
}

// through makes call number n to a function. None has more than 8 arguments,
// and those too many harm none.
static ulong_t through(int n, ulong_t a, ulong_t b, ulong_t c, ulong_t d, ulong_t e, ulong_t f, ulong_t g, ulong_t h)
{
	ulong_t (*go)(ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t) = proxy.fn[n];
	ulong_t k = __atomic_add_fetch(&calls->count, 1, __ATOMIC_SEQ_CST);
	if (k < NOTED) {
		calls->function[k] = n;
	}
	ulong_t at = number("PROXY_AT");
	if (at == 0 || k < at || (k > at && !is("gone"))) {
		ulong_t rv = go(a, b, c, d, e, f, g, h);
		return n == 24 && at && k > at ? lie((attribute *) c, rv) : rv;
	}
	const char *fault = getenv("PROXY_FAULT");
	if (*fault >= '0' && *fault <= '9') {
		return number("PROXY_FAULT");
	}
	if (is("gone")) {
		return 0x32;
	}
	if (is("hang")) {
		hang();
	}
	if (is("segv")) {
		*(volatile int *) 0 = 0;
	}
	ulong_t rv = go(a, b, c, d, e, f, g, h);
	if (is("stall")) {
		hang();
	}
	if (is("abort")) {
		abort();
	}
	return is("late") ? 0x30 : n == 24 ? lie((attribute *) c, rv) : rv;
}

#define W(n) static ulong_t w##n(ulong_t a, ulong_t b, ulong_t c, ulong_t d, ulong_t e, ulong_t f, ulong_t g, ulong_t h) { return through(n, a, b, c, d, e, f, g, h); }
#define TEN(X, t) X(t##0) X(t##1) X(t##2) X(t##3) X(t##4) X(t##5) X(t##6) X(t##7) X(t##8) X(t##9)
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) TEN(X, 1) TEN(X, 2) TEN(X, 3) TEN(X, 4) TEN(X, 5) X(60) X(61) X(62) X(63) X(64) X(65) X(66) X(67)
ALL(W)

static functions counted;

static int count(void)
{
	int fd = open(getenv("PROXY_CALLS"), O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *calls) != 0) {
		return 0;
	}
	calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	counted = proxy;
#define SET(n) counted.fn[n] = w##n;
	ALL(SET)
	return calls != MAP_FAILED;
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
	if (getenv("PROXY_CALLS")) {
		*out = &counted;
		return count() ? 0 : 5;
	}
	return 0;
}

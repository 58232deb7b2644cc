# Sourced by the scripts beside it: the one place that knows what they need
# from Debian, how to install it, and how fleetctl is built.

export LC_ALL=C.UTF-8 # EPOCHREALTIME and sort as this file expects them

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
me=scripts/$(basename "$0")
yes=${yes:-}

say() { printf '%s\n' "$*" >&2; }
die() { say "$me: $1"; shift; for line in "$@"; do say "    $line"; done; exit 2; }

# usage prints the comment at the head of the script that calls it.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

# has says whether what a package is needed for is there, wherever it came from.
has() {
  case $1 in
    cargo-web | rustc-web) rust_since 1.85 "${1%-web}" ;;
    ca-certificates) [[ -n ${SSL_CERT_FILE:-} || -e /etc/ssl/certs/ca-certificates.crt ]] ;;
    gcc-aarch64-linux-gnu) command -v aarch64-linux-gnu-gcc ;;
    libc6-dev-arm64-cross) [[ -e /usr/aarch64-linux-gnu/include/stdlib.h ]] ;;
    libc6-dev) [[ -e /usr/include/stdlib.h ]] ;;
    libnss3) compgen -G '/usr/lib/*/libsoftokn3.so' || compgen -G '/usr/lib/*/nss/libsoftokn3.so' || compgen -G '/usr/lib64/libsoftokn3.so' ;;
    libclang1) compgen -G '/usr/lib/*/libclang-[0-9]*.so*' || compgen -G '/usr/lib/llvm-*/lib/libclang[.-][0-9s]*' ;;
    libxml2-utils) command -v xmllint ;;
    libsqlite3-dev) [[ -e /usr/include/sqlite3.h ]] ;;
    libssl-dev) [[ -e /usr/include/openssl/ssl.h ]] ;;
    libtpm2-pkcs11-1) compgen -G '/usr/lib/*/libtpm2_pkcs11.so.1' ;;
    libtpm2-pkcs11-tools) command -v tpm2_ptool ;;
    libtss2-tcti-swtpm0) compgen -G '/usr/lib/*/libtss2-tcti-swtpm.so.0' ;;
    libtss2-tcti-tabrmd0) compgen -G '/usr/lib/*/libtss2-tcti-tabrmd.so.0' ;;
    nodejs) command -v node ;;
    opencryptoki) command -v pkcsslotd && compgen -G '/usr/lib/*/opencryptoki/libopencryptoki.so.0' ;;
    openssh-client) command -v ssh-keygen ;;
    protobuf-compiler) command -v protoc ;;
    poppler-utils) command -v pdftoppm ;;
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' ;;
    procps) command -v pgrep ;;
    softhsm2) [[ -e /usr/lib/softhsm/libsofthsm2.so ]] ;;
    swtpm-tools) command -v swtpm_setup ;;
    systemd) command -v systemd-analyze ;;
    tpm2-tools) command -v tpm2_getcap ;;
    time) [[ -x /usr/bin/time ]] ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

# what says what a package is for.
what() {
  case $1 in
    ca-certificates) echo "Go fetches modules over TLS" ;;
    cargo-web | rustc-web) echo "Rust 1.85 or newer, as Debian has it for its browsers" ;;
    chromium) echo "opens the web pages that are published" ;;
    curl) echo "asks servers, as whoever runs them does" ;;
    jq) echo "reads what programs say as JSON" ;;
    dpkg) echo "makes the Debian package" ;;
    gcc-aarch64-linux-gnu | libc6-dev-arm64-cross) echo "the program with PKCS#11 for arm64" ;;
    xxd) echo "says how a release was made" ;;
    gcc) echo "PKCS#11 is reached through cgo" ;;
    libc6-dev) echo "headers for cgo" ;;
    libclang1 | libsqlite3-dev | make | perl) echo "kryoptic, a software token, is built with it" ;;
    pkg-config) echo "finds libraries for what cargo builds" ;;
    libssl-dev | protobuf-compiler) echo "Cloudflare's client is built with it" ;;
    libnss3) echo "a second PKCS#11 module for the tests" ;;
    dbus-daemon) echo "a TPM's resource manager is spoken to over it" ;;
    libtpm2-pkcs11-1 | libtpm2-pkcs11-tools | libtss2-tcti-* | swtpm | swtpm-tools | tpm2-abrmd | tpm2-tools) echo "tokens in a TPM, emulated" ;;
    nodejs) echo "runs the verifier in JavaScript" ;;
    opencryptoki) echo "a PKCS#11 module that locks a PIN" ;;
    procps) echo "asks whether a daemon runs" ;;
    openssh-client) echo "ssh-keygen makes and checks people's keys" ;;
    libxml2-utils) echo "xmllint holds JUnit files to Jenkins' schema" ;;
    openssl) echo "a second opinion on signatures" ;;
    jq | xxd) echo "evidence is checked by hand" ;;
    poppler-utils) echo "QR frames on paper are rendered and read back" ;;
    postgresql) echo "Trillian, under Rekor v1, keeps its tree there" ;;
    softhsm2) echo "HSMs in software" ;;
    shellcheck) echo "reads the scripts that run in other people's jobs" ;;
    sqlite3) echo "tells another program's witness of a log" ;;
    systemd) echo "checks the units for services" ;;
    time) echo "measures memory of a process" ;;
    *) echo "" ;;
  esac
}

# need installs those of the packages that are missing. It asks first, unless
# --yes (the variable yes) or CI=true say that it needn't.
need() {
  local package missing=() sudo=()
  for package; do has "$package" || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  say "$me needs from apt:"
  for package in "${missing[@]}"; do say "    $(printf '%-16s' "$package") $(what "$package")"; done
  if ! command -v apt-get >/dev/null; then
    die "there is no apt-get here" "install what those Debian packages hold by the means of this system"
  fi
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "installing needs root, and there is no sudo" "as root: apt-get install ${missing[*]}"
    sudo=(sudo)
    [[ -t 0 ]] || sudo=(sudo -n)
  fi
  if [[ -z $yes && ${CI:-} != true ]]; then
    [[ -t 0 ]] || die "it would ask before it installs them, but standard input is no terminal" "run again with --yes, or yourself: apt-get install ${missing[*]}"
    local answer
    read -r -p "Type yes to install them: " answer || answer=
    [[ $answer == yes ]] || die "nothing was installed" "yourself: apt-get install ${missing[*]}"
  fi
  # A new machine has no package lists, an old one stale ones.
  local log
  log=$(mktemp)
  if ! { "${sudo[@]}" apt-get update -q && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    die "apt-get could not install: ${missing[*]}"
  fi
  rm -f "$log"
  for package in "${missing[@]}"; do has "$package" || die "$package is installed, but what it is needed for is not where it should be"; done
  say "    installed"
}

# rust_since says whether cargo or rustc is of this version or newer.
rust_since() {
  local have
  have=$("$2" --version | cut -d' ' -f2) && [[ $(printf '%s\n' "$1" "$have" | sort -V | head -n 1) == "$1" ]]
}

# need_rust finds cargo and rustc, rustup's or another's. Debian 12's own are too old;
# those that it builds its browsers with are not, and are installed where there is no Rust.
need_rust() {
  command -v cargo >/dev/null || [[ ! -x $HOME/.cargo/bin/cargo ]] || PATH=$PATH:$HOME/.cargo/bin
  need cargo-web rustc-web
}

# need_go finds Go, which Debian 12 has only in an older version.
need_go() {
  command -v go >/dev/null || [[ ! -x /usr/local/go/bin/go ]] || PATH=$PATH:/usr/local/go/bin
  local want have
  want=$(sed -n 's/^go //p' "$root/go.mod")
  command -v go >/dev/null || die "Go is not on the PATH" "fleetctl wants Go $want or newer: https://go.dev/dl"
  # Inside the module an older Go fetches the newer one by itself, where it may.
  have=$(cd "$root" && go env GOVERSION 2>&1) || die "this Go can't build fleetctl: $have" "fleetctl wants Go $want or newer: https://go.dev/dl"
  [[ $(printf '%s\n' "$want" "${have#go}" | sort -V | head -n 1) == "$want" ]] || die "this is $have" "fleetctl wants Go $want or newer: https://go.dev/dl"
}

# build makes build/fleetctl, with PKCS#11, and says where it is. The commit is
# handed over because Go may not be let near the checkout: another owner,
# another version control, GOFLAGS=-buildvcs=false.
build() {
  fleetctl=$root/build/fleetctl
  local commit=
  if commit=$(git -c safe.directory='*' -C "$root" rev-parse HEAD 2>/dev/null); then
    [[ -z $(git -c safe.directory='*' -C "$root" status --porcelain 2>/dev/null) ]] || commit+=" (modified)"
  fi
  (cd "$root" && CGO_ENABLED=1 go build -trimpath -buildvcs=false -ldflags "-X 'github.com/fleetctl/fleetctl/cmd/fleetctl/version.commit=$commit'" -o "$fleetctl" ./cmd/fleetctl)
}

# seconds since a time that EPOCHREALTIME gave.
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# Sourced by scripts/verify-by-hand, and written into the scripts of verify --script:
# how commands are shown and counted, the policy, the archive, the records.

set -euo pipefail
shopt -s globstar nullglob
export LC_ALL=C
die() { printf '%s\n' "$*" >&2; exit 2; }
for tool in sha256sum openssl ssh-keygen jq base64 xxd tar; do command -v "$tool" >/dev/null || die "$tool is not installed"; done

declare -A failed=() undecided=() notes=() passed=() judged=() HASH=() KIND=() PREV=() LATEST=() SIGNER=() PIN=() LAST=() FILES=() LISTED=() absent=()
at=package work=$(mktemp -d) records=0
bundle=bundle.json keys=fleet-keys.json keyset=fleet-keys.json retired='' destroyed='' # what is judged; of a destruction the retirement's
ended() { local code=$?; rm -rf "$work"; ((finished)) || { printf 'FAILED       %s: it could not be judged to the end\n' "$at"; code=1; }; exit "$code"; }
finished=0
trap ended EXIT

# What is printed: each command before it runs, and what came of it.
quoted() { local w out=; for w; do if [[ $w =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then out+=" $w"; else out+=" ${w@Q}"; fi; done; said=+$out; }
run() { quoted "$@"; printf '%s\n' "$said"; command "$@" 2>&1; }
into() { local f=$1; shift; quoted "$@"; printf '%s > %s\n' "$said" "$f"; command "$@" >"$f"; }
from() { local f=$1; shift; quoted "$@"; printf '%s < %s\n' "$said" "$f"; command "$@" <"$f" 2>&1; }
exec 3>&1 # what is run inside of another command is shown, too
jq() { quoted jq "$@"; printf '%s\n' "$said" >&3; command jq "$@"; }
sum() { printf '+ sha256sum < %s\n' "$1" >&3; local s; s=$(sha256sum <"$1"); printf %s "${s%% *}"; }
sumtext() { printf '+ printf %%s %s | sha256sum\n' "${1@Q}" >&3; local s; s=$(printf %s "$1" | sha256sum); printf %s "${s%% *}"; }
put() { printf '%s' "$2" >"$1"; clean "${2%$'\n'}"; printf "+ cat > %s <<'END'\n%s\nEND\n" "$1" "$said"; } # a text, which ends with LF
puthex() { quoted "$2"; printf '+ printf %%s %s | xxd -r -p > %s\n' "${said#+ }" "$1"; printf %s "$2" | xxd -r -p >"$1"; }
put64() { quoted "$2"; printf '+ printf %%s %s | base64 -d > %s\n' "${said#+ }" "$1"; printf %s "$2" | base64 -d >"$1"; }
clean() { said=${1//[^[:print:]$'\n']/?}; } # what a file says is not for the terminal to obey
line() { clean "${*//$'\n'/ }"; } # nor has it a line of its own
pass() { passed[$at]=1; line "$*"; printf 'ok           %s: %s\n' "$at" "$said"; }
fail() { failed[$at]=1; line "$*"; printf 'FAILED       %s: %s\n' "$at" "$said"; }
skip() { notes[$at]+="${notes[$at]:+; }$*"; printf 'not checked  %s: %s\n' "$at" "$*"; }
open() { undecided[$at]=1; skip "$@"; } # without it the claim isn't decided
none() { undecided[$at]=1 absent[$at]=1 notes[$at]=$*; printf 'not shown    %s: %s\n' "$at" "$*"; } # there is nothing to check
same() { if [[ -n $2 && $2 == "$3" ]]; then pass "$1"; else fail "it is not so that $1: one is ${2:-absent}, the other ${3:-absent}"; fi; }
hex() { xxd -p -c 100000 | tr -d '\n'; }
need() { # another claim that this one rests on
  local outer=$at
  at=$1
  if [[ -z ${judged[$1]:-} ]]; then judged[$1]=1; printf -- '-- %s\n' "$1"; "claim_${1//./_}"; fi
  at=$outer
  [[ -z ${failed[$1]:-} || $outer == "$1" ]] || fail "$1 fails, and this rests on it"
  [[ -z ${undecided[$1]:-} || $outer == "$1" ]] || undecided[$at]=1
  if [[ -z ${passed[$1]:-} && -z ${failed[$1]:-} ]]; then undecided[$at]=1; fi
}
# digests LIST WHAT: a list of sha256sum's lines about files of the package, from a record.
digests() {
  local sum path
  while read -r sum path; do
    # sha256sum passes over a line that begins with #, and what it names would go unchecked.
    isn "$sum" "$hash" "a digest that $2 lists" || return 0
    [[ -n ${FILES["$path"]:-} ]] || { fail "$2 lists a file that isn't there: $path"; return 0; }
  done <"$1"
  if run sha256sum --quiet --strict -c "$1"; then pass "every file that $2 lists has its digest"; else fail "a file is not the one that $2 lists"; fi
}
token='^[A-Za-z0-9._-]{1,128}$' hash='^[0-9a-f]{64}$' b64='^[A-Za-z0-9+/]+={0,2}$' int='^(0|[1-9][0-9]{0,15})$' rfc='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$'
isn() { [[ $1 =~ $2 ]] || { fail "$3 is not of its form"; return 1; }; }

# The policy: a key of another part of it is another line here.
pins() {
  jq -e 'type == "object" and .format == "fleetctl policy v1"' policy.json >/dev/null || die "the policy is no JSON of a policy: see fleetctl policy json"
  mode=$(jq -r .mode policy.json) needed=$(jq -r .third_parties_needed policy.json) least=$(jq -r '.threshold // 1' policy.json)
  [[ $needed =~ $int && $least =~ $int && $needed != 0 && $least != 0 ]] || die "the policy has no numbers of third parties and officers"
  jq -r '.people // [] | .[] | "\(.role)/\(.name) \(.key | split(" ")[:2] | join(" "))"' policy.json >allowed
  jq -r 'def w: .window // {} | @json; (.third_parties[] | ["party", .key, .name, "-", w]), (.operators // [] | .[] | ["operator", .key, .name, .algorithm + " " + .form, w]), (.people // [] | .[] | ["person", .role + "/" + .name, .name, "-", w]), (.log_windows // [] | .[] | ["vkey", .key, "-", "-", (.window | @json)]) | @tsv' policy.json >pinned.tsv
  while IFS=$'\t' read -r part key name how window; do PIN["$part $key"]="$name $how $window"; done <pinned.tsv
  jq -r '.log_policy // ""' policy.json >log_policy
  unpinned=$(jq -r '[(.people // [], .third_parties, .operators // [])[] | select((.confirmed // "") | test("^ *$")) | .name] | join(", ")' policy.json)
}
# inside says whether a key's window (JSON) covers the time that is judged at.
inside() { [[ $1 == '{}' ]] || jq -e --arg now "$now" '(.not_before // "0") <= $now and $now <= (.not_after // "9") and $now < (.compromised_after // "9")' <<<"$1" >/dev/null; }

# verify ALGORITHM KEY MESSAGE SIGNATURE, all of them files.
verify() {
  case $1 in
    ed25519) run openssl pkeyutl -verify -pubin -keyform DER -inkey "$2" -rawin -in "$3" -sigfile "$4" ;;
    ecdsa-p256) run openssl dgst -sha256 -verify "$2" -keyform DER -signature "$4" "$3" && low "$4" 64 7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8 ;;
    ecdsa-p384) run openssl dgst -sha384 -verify "$2" -keyform DER -signature "$4" "$3" && low "$4" 96 7fffffffffffffffffffffffffffffffffffffffffffffffe3b1a6c0fa1b96efac0d06d9245853bd76760cb5666294b9 ;;
    rsa-3072) run openssl dgst -sha256 -verify "$2" -keyform DER -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256 -signature "$4" "$3" ;;
    *) return 1 ;;
  esac
}
# low says whether an ECDSA signature's s is in the lower half.
low() {
  local d s r
  d=$(hex <"$1") r=$((16#${d:6:2})) s=${d:$((8 + 2 * r + 4))}
  while ((${#s} > $2)) && [[ $s == 00* ]]; do s=${s:2}; done
  while ((${#s} < $2)); do s=0$s; done
  ((${#s} == $2)) && [[ ! $s > $3 ]]
}
# spki says whether a key's hex is of an algorithm's form.
spki() {
  case $1 in
    ed25519) [[ $2 =~ ^302a300506032b6570032100.{64}$ ]] ;;
    ecdsa-p256) [[ $2 =~ ^3059301306072a8648ce3d020106082a8648ce3d03010703420004.{128}$ ]] ;;
    ecdsa-p384) [[ $2 =~ ^3076301006072a8648ce3d020106052b8104002203620004.{192}$ ]] ;;
    ml-dsa-44) [[ ${#2} == 2668 && $2 == 30820532300b06096086480165030403110382052100* && ${2:108} == *[1-9a-f]* ]] ;;
    ml-dsa-65) [[ ${#2} == 3948 && $2 == 308207b2300b0609608648016503040312038207a100* && ${2:108} == *[1-9a-f]* ]] ;;
    ml-dsa-87) [[ ${#2} == 5228 && $2 == 30820a32300b060960864801650304031303820a2100* && ${2:108} == *[1-9a-f]* ]] ;;
    rsa-3072) [[ ${#2} == 844 && $2 == 308201a2300d06092a864886f70d01010105000382018f00* && $2 == *0203010001 ]] ;;
    *) return 1 ;;
  esac
}

unpack() {
  local name line
  mkdir pkg r
  cp -- "$1" given
  if [[ $(head -c 262 given | tail -c 5 | tr -d '\0') != ustar ]]; then
    object=bundle
    cp given pkg/bundle.json
    [[ ! -f $1.tlog-proof ]] || cp -- "$1.tlog-proof" pkg/bundle.json.tlog-proof
    cd pkg
    into fleet-keys.b64 jq -j .artifact bundle.json
    isn "$(cat fleet-keys.b64)" "$b64" "the bundle's artifact" || return 1
    into fleet-keys.json base64 -d fleet-keys.b64
    return
  fi
  object=evidence
  (($(stat -c %s given) <= 67108864)) || { fail "the archive is too large"; return 1; }
  into names tar -tf given
  into types tar -tvf given
  while IFS= read -r line; do [[ $line == -* ]] || { fail "the archive has something else than regular files"; return 1; }; done <types
  while IFS= read -r name; do
    FILES["$name"]=1
    case $name in
      plan.yaml | transcript.jsonl | fleet-keys.json | request-core.json | bundle.json | bundle.json.tlog-proof | bundle.json.rekor.json | media.txt | index.html | MANIFEST) continue ;;
      plan-approvals/* | approvals/* | signoffs/release/* | signoffs/close/* | attestations/* | drills/*) line=${name##*/} ;;
      retirement.json | retirement.json.tlog-proof | retired-bundle.json | retired-bundle.json.tlog-proof) continue ;;
      *) line= ;;
    esac
        [[ $line =~ $token && $line != . && $line != .. && ${name#*/} =~ ^((release|close)/)?[^/]+$ && ${#name} -le 100 ]] ||
      { fail "the archive has a name that no evidence package has: $(printf %q "$name")"; return 1; }
  done <names
  same "no name stands twice, and they are sorted" "$(sum names)" "$(sort -u names | sha256sum | cut -c1-64)"
  ((${#failed[@]} == 0)) || return 1
  run tar -xf given -C pkg --no-same-owner --no-same-permissions
  cd pkg
  local -a wanted=(fleet-keys.json)
  if grep -q '^destroys:' plan.yaml 2>/dev/null; then
    destroyed=1 wanted=(retirement.json retirement.json.tlog-proof retired-bundle.json retired-bundle.json.tlog-proof)
    bundle=retirement.json keys=../retirement-notice.json keyset=../retired.json
  fi
  for name in plan.yaml transcript.jsonl MANIFEST "${wanted[@]}"; do [[ -f $name ]] || { fail "$name is missing"; return 1; }; done
  printf '+ tar -cf - -b 1 --format=ustar --mode=0644 --owner=0 --group=0 --numeric-owner --mtime=@0 --no-recursion -T ../names | sha256sum\n'
  same "the archive has its one form" "$(sum ../given)" "$(tar -cf - -b 1 --format=ustar --mode=0644 --owner=0 --group=0 --numeric-owner --mtime=@0 --no-recursion -T ../names | sha256sum | cut -c1-64)"
  printf '+ sha256sum **\n'
  while IFS= read -r name; do [[ $name == MANIFEST ]] || sha256sum "$name"; done <../names >../digests
  same "MANIFEST has the digest of every file" "$(sum MANIFEST)" "$(sum ../digests)"
}

# chain reads the records, and holds each to its commitment and to the one before.
chain() {
  local n time kind prev commit salt body id line last newest=
  into ../records.tsv jq -r '[.n, .time, .kind, .prev, .commit, .salt // "-", (if .body then .body | @base64 else "-" end)] | map(tostring) | @tsv' transcript.jsonl
  while IFS=$'\t' read -r n time kind prev commit salt body; do
    records=$((records + 1))
    [[ $n == "$records" && $time =~ $rfc && $kind =~ $token && $prev =~ $hash && $commit =~ $hash ]] || { fail "record $records has not the form of one"; return 1; }
    KIND[$n]=$kind PREV[$n]=$prev LAST[$kind]=$n
    [[ $newest > $time ]] || newest=$time
    LATEST[$n]=$newest
    printf -v id %05d "$n"
    printf 'fleetctl record v1\n%s\n%s\n%s\n%s\n%s\n' "$n" "$time" "$kind" "$prev" "$commit" >"../r/$id.head"
    [[ $salt != - || $kind == unlock ]] || { fail "record $n is withheld, and only an unlock may be"; return 1; }
    [[ $salt != - ]] || continue
    printf %s "$body" | base64 -d >"../r/$n.json"
    { printf %s "$salt" | base64 -d; cat "../r/$n.json"; } >"../r/$id.commit"
    printf '%s  ../r/%s.commit\n' "$commit" "$id" >>../r/commits
  done <../records.tsv
  same "each line of the transcript is one record, ended by its line end" "$(($(wc -l <transcript.jsonl)))$(tail -c 1 transcript.jsonl | hex)" "${records}0a"
  printf '+ cat salt body | sha256sum # of each of %s records\n' "$records"
  if run sha256sum --quiet -c ../r/commits; then pass "each record's body is the one that it committed to"; else fail "a record's body is not the one that it committed to"; fi
  into ../r/heads sha256sum ../r/*.head
  while read -r line id; do id=${id##*/} id=${id%.head}; HASH[$((10#$id))]=$line; done <../r/heads
  last=$(sum plan.yaml)
  for ((n = 1; n <= records; n++)); do
    [[ ${PREV[$n]} == "$last" ]] || { fail "record $n does not follow the one before"; return 1; }
    last=${HASH[$n]}
  done
  pass "the chain of $records records begins at plan.yaml and ends at $last"
  into ../bodies.jsonl jq -c 'select(.body) | {n, kind, b: (.body | fromjson)}' transcript.jsonl
}
# seconds of a time, and whether one is no more than five minutes after another.
seconds() { [[ $1 =~ $rfc ]] && date -u -d "$1" +%s; }
before() { if (($(seconds "$2") <= $(seconds "$3") + 300)); then pass "$1 is not after $3"; else fail "$1 is of $2, after $3"; fi; }
get() { jq -r "$2" "../r/$1.json"; }

# voices: no key of the fleet is one that the policy pins for anybody, in whatever form.
voices() {
  local key all=' ' point
  if jq -e '[.allows // [] | .[].one_key // [] | .[]] | any(startswith("fleet key"))' ../policy.json >/dev/null; then skip "whether a key of the fleet is somebody's: the policy allows it for one"; return; fi
  jq -r '(.third_parties[], (.operators // [] | .[]) | .key), (.people // [] | .[].key | split(" ")[1]), ((.log_policy // "") | split("[ \t\n]+"; "")[] | select(test("^[^+]+[+][0-9a-f]{8}[+]")) | sub("^[^+]+[+][0-9a-f]{8}[+]"; ""))' ../policy.json >../policykeys
  while read -r key; do all+="$(printf %s "$key" | base64 -d | hex) "; done <../policykeys
  jq -r '.keys[].public_key' "$keyset" >../fresh
  while read -r key; do
    isn "$key" "$b64" "a key of the fleet" || continue
    point=$(printf %s "$key" | base64 -d | hex)
    case ${#point} in 88) point=${point:24} ;; 182) point=${point:54} ;; 240) point=${point:48} ;; esac
    [[ $all != *"$point"* ]] || fail "a key of the fleet is one that the policy pins for somebody else"
  done <../fresh
  [[ -n ${failed[$at]:-} ]] || pass "no key of the fleet is one that the policy pins"
}

# destruction: the files of a ceremony that destroyed keys are those that its records tell of.
destruction() {
  local n=${LAST[retirement]:-0} name time
  ((n && ${LAST[close]:-0} == records)) || { fail "the ceremony was not closed"; return 0; }
  ceremony=$(get 1 .ceremony) plan=$(sum plan.yaml)
  isn "$ceremony" "$token" "the ceremony's id" || return 0
  for name in "${!FILES[@]}"; do
    [[ $name != @(fleet-keys.json|request-core.json|bundle.json*|signoffs/release/*|attestations/*|drills/*) ]] || fail "$name has no place in the package of a ceremony that destroyed keys"
  done
  get "$n" '"\(.bundle)  retirement.json", "\(.proof)  retirement.json.tlog-proof", "\(.keys)  retired-bundle.json", "\(.keys_proof)  retired-bundle.json.tlog-proof"' >../ends
  digests ../ends "the record of the retirement"
  same "the retirement is one" "$(jq -r .format "$keys")" "fleetctl fleet-retirement v1"
  same "its mode, fleet, namespace and epoch are the ceremony's" "$(jq -r '"\(.mode) \(.fleet) \(.namespace) \(.epoch)"' "$keys")" "$(get 1 '"\(.mode) \(.fleet) \(.namespace) \(.epoch)"')"
  same "the keys are of that fleet" "$(jq -r '"\(.mode) \(.fleet) \(.namespace)"' "$keyset")" "$(get 1 '"\(.mode) \(.fleet) \(.namespace)"')"
  if (($(jq -r '.epoch' "$keyset") < $(jq -r '.epoch' "$keys"))); then pass "they are of an epoch before the retirement"; else fail "the keys are of no epoch before the retirement"; fi
  same "their key set is the one whose words were read aloud" "$retired" "$(jq -r 'select(.kind == "challenge" and .b.what == "key-set") | .b.subject' ../bodies.jsonl)"
  time=$(jq -rs 'map(select(.kind == "destroy-intent")) | first | .time // ""' transcript.jsonl)
  if [[ -n $time && ! $(jq -r .effective "$keys") > $time ]]; then pass "no key was destroyed before the retirement took effect"; else fail "a key was destroyed before the retirement took effect, or none was"; fi
  before "the last record" "${LATEST[$records]}" "$now"
  skip "that plan.yaml names this retirement and these keys, and that every record follows the rules (SPEC 6.4, 7)"
}
# claim_package: the files are those that the records tell of.
claim_package() {
  unpack "$package" || return 0
  if [[ -n $destroyed ]]; then
    jq -j .artifact retirement.json | base64 -d >"$keys"
    jq -j .artifact retired-bundle.json | base64 -d >"$keyset"
    retired=$(sum "$keyset")
  fi
  artifact=$(sum "$keys")
  voices
  [[ $object == evidence ]] || { pass "the artifact has the digest $artifact"; return 0; }
  chain || return 0
  local counter proof close name line
  release=${LAST[release]:-0} request=${LAST[request]:-0} counter=${LAST[countersignature]:-0} proof=${LAST[log-proof]:-0} close=${LAST[close]:-0}
  if ((${LAST[abort]:-0})); then fail "the ceremony was aborted: this is evidence of no fleet"; return 0; fi
  if [[ -n $destroyed ]]; then destruction; return 0; fi
  for name in "${!FILES[@]}"; do [[ $name != retire[md]*.json* ]] || fail "$name is of a ceremony that destroys keys"; done
  ((release && request && counter && proof && close == records)) || { fail "the ceremony was not closed"; return 0; }
  ceremony=$(get 1 .ceremony) plan=$(sum plan.yaml)
  isn "$ceremony" "$token" "the ceremony's id" || return 0
  [[ -f bundle.json && -f bundle.json.tlog-proof && -f request-core.json ]] || { fail "bundle, proof or request core is missing"; return 0; }
  same "fleet-keys.json is what was released" "$artifact" "$(get "$release" .artifact)"
  same "bundle.json carries it" "$artifact" "$(jq -j .artifact bundle.json | base64 -d | sha256sum | cut -c1-64)"
  same "bundle.json is the one whose proof is on the record" "$(sum bundle.json)" "$(get "$proof" .bundle)"
  same "and so is the proof" "$(sum bundle.json.tlog-proof)" "$(get "$proof" .proof)"
  same "the bundle names the record of its countersignature" "$(jq -r '"\(.transcript.head) \(.transcript.n)"' bundle.json)" "${HASH[$counter]} $counter"
  same "request-core.json is what officers approved" "$(sum request-core.json)" "$(get "$request" .core)"
  same "it asks for what was released" "$(jq -r '"\(.plan) \(.release.head) \(.release.n)"' request-core.json) $(jq -j .artifact request-core.json | base64 -d | sha256sum | cut -c1-64)" "$plan ${HASH[$release]} $release $artifact"
  same "the artifact names plan and ceremony" "$(jq -r '"\(.ceremony.plan) \(.ceremony.id)"' fleet-keys.json)" "$plan $ceremony"
  same "the artifact names the transcript, up to the fleet check" "$(jq -r .ceremony.transcript fleet-keys.json)" "${HASH[${LAST[fleet-check]:-0}]:-}"
  into ../wanted jq -r 'select(.kind == "request" or .kind == "countersignature") | .b.files[] | "\(.sha256)  \(.path)"' ../bodies.jsonl
  before "the last record" "${LATEST[$records]}" "$now"
  into ../predecessor jq -r 'if .predecessor == "" then empty else .predecessor | @base64d | fromjson | .keys[].public_key end' request-core.json
  if [[ -n $(sort ../predecessor ../fresh | uniq -d) ]]; then fail "a key is one of the epoch before: it was not generated in this ceremony"; else pass "no key is one of the epoch before"; fi
  digests ../wanted "request or countersignature"
  jq -r 'select(.kind == "attestation") | "attestations/\(.b.intent // "countersigner").json"' ../bodies.jsonl >../attested
  while read -r line; do FILES["$line"]=told; done <../attested
  for name in attestations/*; do [[ ${FILES["$name"]} == told ]] || fail "$name is evidence that no record names"; done
  jq -r 'select(.kind == "drill" and .b.outcome != "none") | "drills/\(.b.number).json"' ../bodies.jsonl >../drilled
  while read -r line; do FILES["$line"]=drilled; done <../drilled
  for name in drills/*; do [[ ${FILES["$name"]} == drilled ]] || fail "$name is the report of a drill that no record names"; done
  for name in request countersignature; do while read -r line; do LISTED["$name $line"]=1; done < <(get "${LAST[$name]}" '.files[].path'); done
  skip "that every record follows the rules (SPEC 6, 7, 9), and that each file is written in its one form (SPEC 1)"
}
packaged() { [[ $object == evidence ]] || { open "only an evidence package can show it"; return 1; }; [[ -z ${failed[package]:-} ]]; }

# Sourced by scripts/verify-by-hand: a log's proof, its checkpoint and its witnesses
# (SPEC 16.1, 16.2), by the keys of the policy's log_policy alone.

declare -A LOGS=() WITNESS=() GROUP=() COUNTED=() STAMP=()
COSIGNED=() seen_cosigned=()
quorum=none
# vkey NAME+HASH+BASE64: its name, hash, type and key, where they fit each other.
vkey() {
  local rest=${1#*+} raw
  vname=${1%%+*} vhash=${rest%%+*}
  raw=$(printf %s "${rest#*+}" | base64 -d | hex)
  vtype=${raw:0:2} vraw=${raw:2}
  if [[ $vtype == 02 ]]; then rest=$(printf %s "$vraw" | xxd -r -p | sha256sum); else rest=$({ printf '%s\n' "$vname"; printf %s "$raw" | xxd -r -p; } | sha256sum); fi
  [[ $vhash == "${rest:0:8}" ]]
}
log_policy() {
  local what name rest excluded
  [[ -z ${log_read:-} ]] || return 0
  log_read=1
  # A witness of a third party's or an operator's organisation counts for nothing.
  excluded=" $(jq -r '. as $p | ([.third_parties[], (.operators // [] | .[])] | map(["\(if has("form") then "operator" else "third party" end) \(.name)", .org // .name])) as $parties |
    [.witness_orgs // [] | .[] | {(.name): .org}] | add // {} | . as $orgs |
    ($p.log_policy // "") | split("\n")[] | [splits("[ \t]+")] | select(.[0] == "witness") | .[1] as $w | ($orgs[$w] // $w) as $org |
    select(any($parties[]; .[1] == $org and (.[0] as $who | $p.allows // [] | any(.one_org != null and (.one_org | sort) == (["witness \($w)", $who] | sort)) | not))) | $w' ../policy.json | tr '\n' ' ')"
  while read -r what name rest; do
    case $what in
      log) vkey "$name" || { fail "a log's key in the policy doesn't fit its hash"; return 0; }; LOGS[$vname $vhash]="$vtype $vraw $name" ;;
      witness)
        vkey "${rest%% *}" || { fail "the key of witness $name in the policy doesn't fit its hash"; return 0; }
        WITNESS[$vname $vhash]="$vtype $vraw $name ${rest%% *}"
        [[ $excluded != *" $name "* ]] || COUNTED[$name]=never ;;
      group) GROUP[$name]=$rest ;;
      quorum) quorum=$name ;;
    esac
  done <../log_policy
}
met() { # a witness counts, or enough members of a group do
  local want members x n=0
  local -a list
  [[ -n ${GROUP[$1]:-} ]] || { [[ ${COUNTED[$1]:-} == yes ]]; return; }
  read -r want members <<<"${GROUP[$1]}"
  read -r -a list <<<"$members"
  case $want in all) want=${#list[@]} ;; any) want=1 ;; esac
  # Bash runs commands that stand in what it takes for a number.
  [[ $want =~ ^[1-9][0-9]{0,3}$ ]] || { fail "the group $1 in the policy has no number of members"; return 1; }
  for x in "${list[@]}"; do if met "$x"; then n=$((n + 1)); fi; done
  ((n >= want))
}

# node LEFT RIGHT: the hash above two (RFC 6962, 2.1).
node() { printf '+ printf 01%s%s | xxd -r -p | sha256sum\n' "$1" "$2" >&2; local s; s=$(printf '01%s%s' "$1" "$2" | xxd -r -p | sha256sum); printf %s "${s%% *}"; }

# proof ENTRY PROOF: inclusion of the entry's bytes, under a pinned log's checkpoint.
proof() {
  local -a L
  local i=2 f s h r p origin size name line key sig aside=0 signed=0
  log_policy
  mapfile -t L <"$2"
  [[ ${L[0]:-} == c2sp.org/tlog-proof@v1 && ${L[1]:-} =~ ^index\ (0|[1-9][0-9]{0,15})$ ]] || { fail "$2 is no proof"; return 0; }
  f=${BASH_REMATCH[1]}
  printf '+ { printf "\\0"; cat %s; } | sha256sum\n' "$1"
  r=$({ printf '\0'; cat "$1"; } | sha256sum) r=${r%% *}
  while [[ -n ${L[$i]:-} ]]; do i=$((i + 1)); done
  origin=${L[$((i + 1))]:-} size=${L[$((i + 2))]:-}
  [[ $size =~ ^[1-9][0-9]{0,15}$ && -z ${L[$((i + 4))]:-} ]] && ((f < size)) || { fail "$2 has no checkpoint that can be read"; return 0; }
  s=$((size - 1))
  for ((p = 2; p < i; p++)); do
    h=$(printf %s "${L[$p]}" | base64 -d | hex)
    [[ $h =~ $hash ]] && ((s)) || { fail "$2 has a hash too many, or one that is none"; return 0; }
    if ((f % 2 || f == s)); then
      r=$(node "$h" "$r")
      while ((f % 2 == 0 && f)); do f=$((f / 2)) s=$((s / 2)); done
    else
      r=$(node "$r" "$h")
    fi
    f=$((f / 2)) s=$((s / 2))
  done
  ((s == 0)) || { fail "$2 has too few hashes"; return 0; }
  same "the hashes lead from ${1##*/} to the checkpoint's root" "$r" "$(printf %s "${L[$((i + 3))]}" | base64 -d | hex)"
  printf -v checkpoint '%s\n%s\n%s\n' "$origin" "$size" "${L[$((i + 3))]}"
  put ../treehead "$checkpoint"
  COSIGNED=()
  for line in "${L[@]:$((i + 5))}"; do
    [[ $line =~ ^$'\xe2\x80\x94'\ ([^\ ]+)\ ([A-Za-z0-9+/]+=*)$ ]] || { fail "$2 has a line that is no signature"; continue; }
    name=${BASH_REMATCH[1]} sig=$(printf %s "${BASH_REMATCH[2]}" | base64 -d | hex)
    key=${LOGS["$name ${sig:0:8}"]:-}
    if [[ -n ${WITNESS["$name ${sig:0:8}"]:-} ]]; then COSIGNED+=("$name $sig"); fi
    [[ -n $key ]] || continue
    if ! logged "$key" "${sig:8}"; then fail "the signature of the log $name does not verify"; continue; fi
    [[ $name == "$origin" ]] || continue
    if inside "$(cut -d' ' -f3- <<<"${PIN[vkey ${key##* }]:-- - {\}}")"; then signed=1; pass "the log $name signed it"; log=${key##* }; else aside=1; fi
  done
  if ((signed)); then return 0; fi
  if ((aside)); then open "whether the log's key counts: its window is over (SPEC 16.2)"
  elif [[ ${undecided[$at]:-} ]]; then :
  else fail "no log that the policy pins signed this checkpoint"; fi
}
logged() { # "TYPE KEY VKEY" SIGNATURE, over ../treehead
  local type key
  read -r type key _ <<<"$1"
  puthex ../log.sig "$2"
  case $type in
    01) puthex ../log.der "302a300506032b6570032100$key"; verify ed25519 ../log.der ../treehead ../log.sig ;;
    02) puthex ../log.der "$key"; run openssl dgst -sha256 -verify ../log.der -keyform DER -signature ../log.sig ../treehead ;;
    *) open "a log's signature of the type 0x$type: openssl 3.0 has no ML-DSA" ;;
  esac
}

# earliest RECORD TIME: no record that a quorum has seen is after the time by which it had.
earliest() {
  local t who stamp # a name within (( )) is expanded again by bash before 5.2
  local -A all=()
  for who in "${!COUNTED[@]}"; do all[$who]=${COUNTED[$who]}; done
  for t in $(printf '%s\n' "${STAMP[@]}" | sort -n); do
    for who in "${!STAMP[@]}"; do stamp=${STAMP[$who]}; if ((stamp <= t)) && [[ ${all[$who]} == yes ]]; then COUNTED[$who]=yes; else COUNTED[$who]=later; fi; done
    if met "$quorum"; then [[ -z $2 ]] || before "record $1, or one before it," "$2" "$(date -u -d "@$t" +%Y-%m-%dT%H:%M:%SZ)"; return; fi
  done
}

# witnessed RECORD: the cosignatures of the proof that was just read, the quorum, and
# whether what led to this record is older.
witnessed() {
  local one name sig key type raw vkey t who window late=0 seen=" " text
  [[ $quorum != none ]] || { none "the policy names no quorum of witnesses"; return 0; }
  for who in "${!COUNTED[@]}"; do [[ ${COUNTED[$who]} == never ]] || COUNTED[$who]=no; done
  STAMP=()
  for one in "${COSIGNED[@]}"; do
    read -r name sig <<<"$one"
    read -r type raw who vkey <<<"${WITNESS["$name ${sig:0:8}"]}"
    if [[ $type != 04 ]]; then skip "the cosignature of $who: openssl 3.0 has no ML-DSA"; late=1; continue; fi
    [[ $sig =~ ^[0-9a-f]{152}$ && $seen != *" $who "* ]] || { fail "witness $who has a line too many, or one that is none"; continue; }
    seen+="$who " t=$((16#${sig:8:16}))
    printf -v text 'cosignature/v1\ntime %s\n%s' "$t" "$checkpoint"
    put ../cosigned-"$who" "$text"
    puthex ../witness-"$who".der "302a300506032b6570032100$raw"
    puthex ../witness-"$who".sig "${sig:24}"
    if ! verify ed25519 ../witness-"$who".der ../cosigned-"$who" ../witness-"$who".sig; then fail "the cosignature of $who does not verify"; continue; fi
    if ((t < 1 || t > $(date -u -d "$now" +%s) + 300)); then echo "   $who cosigned at a time that doesn't count"; continue; fi
    window=$(cut -d' ' -f3- <<<"${PIN[vkey $vkey]:-- - {\}}")
    if [[ $window != '{}' ]]; then
      text=$(date -u -d "@$t" +%Y-%m-%dT%H:%M:%SZ)
      if ! jq -e --arg now "$now" --arg t "$text" '$now < (.compromised_after // "9") and (.not_before // "0") <= $now and (.not_before // "0") <= $t and $t <= (.not_after // "9")' <<<"$window" >/dev/null; then echo "   the key of $who doesn't count"; continue; fi
      if ! inside "$window"; then late=1; continue; fi
    fi
    [[ ${COUNTED[$who]:-} == never ]] || { COUNTED[$who]=yes STAMP[$who]=$t; pass "$who cosigned it at $(date -u -d "@$t" +%Y-%m-%dT%H:%M:%SZ)"; }
  done
  if met "$quorum"; then
    pass "the quorum $quorum is met"
    earliest "$1" "${LATEST[$1]:-}"
  elif ((late)); then open "whether the quorum is met: cosignatures that aren't judged here (SPEC 16.2) may count"
  else fail "the quorum $quorum is not met"; fi
}

claim_log_included() {
  need package
  [[ -z ${failed[package]:-} ]] || return 0
  [[ -s ../log_policy ]] || { none "the policy pins no log"; return 0; }
  [[ -f "$bundle.tlog-proof" ]] || { fail "there is no proof beside the bundle"; return 0; }
  proof "$bundle" "$bundle.tlog-proof"
  seen_checkpoint=${checkpoint:-} seen_cosigned=("${COSIGNED[@]}")
}
claim_log_witnessed() {
  need log.included
  [[ -z ${failed[log.included]:-} && -n ${checkpoint:-} ]] || return 0
  hybrid # only witnesses with ML-DSA-44 keys count then
  checkpoint=$seen_checkpoint COSIGNED=("${seen_cosigned[@]}")
  witnessed "${LAST[countersignature]:-0}"
}
claim_rekor_included() {
  need package
  if [[ -f bundle.json.rekor.json ]]; then open "Rekor's entry (SPEC 16.4)"; else none "there is no entry of a Rekor log in the package"; fi
}

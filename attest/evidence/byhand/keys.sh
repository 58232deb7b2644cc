# Sourced by scripts/verify-by-hand: what the records say of the fleet's keys (SPEC 7 to 10).

# fleet lists the keys that the records made, and holds them to the artifact.
fleet() {
  [[ -z ${fleet_read:-} ]] || return 0
  fleet_read=1
  into ../keys.tsv jq -rs '
    (map(select(.kind == "intake")) | map({(.b.hsm): .b.serial}) | add) as $serial |
    (map(select(.kind == "intent")) | map({("\(.n)"): .b}) | add) as $intent |
    map(select(.kind == "outcome" and .b.result == "generated")) as $made |
    (map(select(.kind == "outcome" and .b.result != "generated")) | map(.b.intent)) as $gone |
    (map(select(.kind == "possession")) | map({("\(.b.intent)"): .b}) | add) as $shown |
    $made[] | select(.b.intent as $i | $gone | index($i) | not) | .b.intent as $i | $intent["\($i)"] as $k |
    [$i, $k.hsm, $k.role, $k.algorithm, .b.public_key, ($shown["\($i)"].signature // "-"), ($serial[$k.hsm] | @base64)] | map(tostring) | @tsv' ../bodies.jsonl
  jq -r '.keys[] | [.hsm, .role, .algorithm, .public_key] | @tsv' fleet-keys.json >../listed
  same "the artifact has the keys that the records made, in their order" "$(cut -f 2-5 ../keys.tsv)" "$(cat ../listed)"
}

# serial writes an HSM's serial as section 8 has it.
serial() {
  local h out='' c i
  h=$(printf %s "$1" | base64 -d | hex)
  for ((i = 0; i < ${#h}; i += 2)); do
    printf -v c %b "\\x${h:i:2}"
    if [[ $c =~ ^[A-Za-z0-9._-]$ ]]; then out+=$c; else out+=%${h:i:2}; [[ $c =~ ^[A-Za-z0-9._-]$ ]] || out=${out%??}$(tr a-f A-F <<<"${h:i:2}"); fi
  done
  printf %s "$out"
}

claim_key_possession() {
  local n hsm role algorithm key sig numbered nonce text count=0
  need package
  packaged || return 0
  fleet
  while IFS=$'\t' read -r n hsm role algorithm key sig numbered; do
    [[ $algorithm != x25519 && $algorithm != ecdh-p256 && $algorithm != ml-kem-768 ]] || continue
    count=$((count + 1))
    isn "$n" "$int" "an intent" && isn "$key" "$b64" "a key" && isn "$sig" "$b64" "the signature of $hsm $role" || continue
    spki "$algorithm" "$(printf %s "$key" | base64 -d | hex)" || { fail "$hsm $role: the key is not of its algorithm"; continue; }
    if [[ $algorithm == ml-dsa-* ]]; then open "the answer of $hsm $role: openssl 3.0 has no ML-DSA"; continue; fi
    nonce=$(sumtext "fleetctl nonce v1"$'\n'"${HASH[$n]}"$'\n')
    put64 ../key-"$n".der "$key"
    put64 ../key-"$n".sig "$sig"
    printf -v text 'fleetctl proof-of-possession v1\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n' "$mode" "$ceremony" "$plan" "$(serial "$numbered")" "$role" "$(sum ../key-"$n".der)" "$nonce"
    put ../key-"$n".txt "$text"
    if verify "$algorithm" ../key-"$n".der ../key-"$n".txt ../key-"$n".sig; then pass "$hsm $role answered its nonce"; else fail "$hsm $role: the signature does not verify"; fi
  done <../keys.tsv
  ((count)) || none "the plan has no key that signs"
  need statement.signed # the artifact that third parties signed names this transcript
}

# recorded: what an HSM says of itself is on the record that third parties signed.
recorded() {
  need statement.signed
  packaged || return 1
  fleet
}

claim_key_generated() {
  recorded || return 0
  local n=0 hsm
  while read -r hsm; do n=$((n + 1)); done < <(jq -c 'select(.kind == "attributes") | select(.b.private | any(.name == "LOCAL" and .value == "true"))' ../bodies.jsonl)
  if ((n > 0 && n >= $(wc -l <../keys.tsv))); then pass "LOCAL is true in $n records: the HSMs' own word"; else fail "LOCAL is true in $n records, for $(wc -l <../keys.tsv) keys"; fi
  skip "that an HSM made the key: it says so itself"
}

claim_key_nonexportable() {
  recorded || return 0
  local wrong
  into ../wrong jq -r 'select(.kind == "attributes") | .n as $n | ["EXTRACTABLE false", "SENSITIVE true", "NEVER_EXTRACTABLE true", "ALWAYS_SENSITIVE true"][] as $w | select(.b.private | any("\(.name) \(.value)" == $w) | not) | "record \($n): not \($w)"' ../bodies.jsonl
  while read -r wrong; do fail "$wrong"; done <../wrong
  jq -r 'select(.kind == "negative-test") | .n as $n | .b.attempts[] | select(.code == "CKR_OK" or .code == "TPM_RC_SUCCESS") | "\(.name) \($n)"' ../bodies.jsonl >../succeeded
  while read -r wrong; do
    if jq -e --arg w "${wrong% *}" '.tolerates // [] | index($w)' ../policy.json >/dev/null; then skip "what SPEC 9.1 wants of $wrong, which the policy tolerates"; else fail "the attempt $wrong succeeded (name and record)"; fi
  done <../succeeded
  ((${#failed[$at]})) || pass "no key is EXTRACTABLE, each is SENSITIVE, and no attempt to take one out that isn't tolerated succeeded: the HSMs' own word"
  skip "that each return code is one of those that SPEC 9 takes, and that an HSM tells the truth"
}

claim_key_agreement() {
  recorded || return 0
  if [[ $(cut -f 4 ../keys.tsv) == *x25519* || $(cut -f 4 ../keys.tsv) == *ecdh* || $(cut -f 4 ../keys.tsv) == *ml-kem* ]]; then open "the answers of keys that agree (SPEC 8.1)"; else none "the plan has no key that agrees"; fi
}

# evidence holds the files of devices' attestations to their records.
evidence() {
  need statement.signed
  packaged || return 1
  into ../evidence jq -r --arg own "$1" 'select(.kind == "attestation") | .b | select((.intent == null) == ($own == "countersigner")) | "\(.evidence)  attestations/\(.intent // "countersigner").json"' ../bodies.jsonl
  if [[ ! -s ../evidence ]]; then none "no record tells of such an attestation"; return 0; fi
  digests ../evidence "a record of an attestation"
  open "what a device's evidence shows, and its vendor's certificates (SPEC 23)"
}
claim_key_attested() { evidence key || return 0; }
claim_countersigner_attested() { evidence countersigner || return 0; }

claim_fleet_checked() {
  recorded || return 0
  local check
  check=${LAST[fleet-check]:-0}
  if jq -e '(.rows | length) > 0 and (.checks | length) as $n | all(.rows[]; (.results | length) == $n and all(.results[]; . == "pass"))' "../r/$check.json" >/dev/null; then pass "every HSM passed every check of record $check"; else fail "record $check has a check that failed"; fi
  same "it has every HSM of the artifact" "$(jq -r '.rows[].hsm' "../r/$check.json" | sort -u)" "$(jq -r '.keys[].hsm' fleet-keys.json | sort -u)"
  same "and its majority" "$(jq -r .majority "../r/$check.json")" "$(jq -r .majority fleet-keys.json)"
  need signoffs.release
  skip "that its rows follow from the other records (SPEC 7.1), and what the policy wants of sites"
}

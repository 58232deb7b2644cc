# Sourced by scripts/verify-by-hand: what a ceremony that destroyed keys shows of them
# (SPEC 6.4, 7 and 17.8).

# claim_keys_destroyed: each key of retired-bundle.json showed itself, was destroyed by its
# HSM's answers, and was found by nobody afterwards.
claim_keys_destroyed() {
  local hsm role algorithm key n id sig shown made numbered text
  need signoffs.close
  packaged || return 0
  [[ -n $destroyed ]] || { none "the ceremony destroyed no keys"; return 0; }
  into ../doomed.tsv jq -rs --slurpfile fleet ../retired.json '. as $all |
    (map(select(.kind == "intake")) | map({(.b.hsm): .b.serial}) | add) as $serial |
    $fleet[0].keys[] as $k | ($all | map(select(.kind == "target" and .b.hsm == $k.hsm and .b.role == $k.role)) | last) as $t |
    ($all | map(select(.kind == "possession" and .b.intent == $t.n)) | last) as $p |
    ($all | map(select(.kind == "destroy-intent" and .b.target == $t.n)) | last) as $i |
    ($all | map(select(.kind == "destruction" and .b.intent == $i.n)) | last) as $d |
    ($all | map(select(.kind == "gone" and .b.hsm == $k.hsm)) | last) as $g |
    [$k.hsm, $k.role, $k.algorithm, $k.public_key, $t.n // 0, $t.b.cka_id // "-", $p.b.signature // "-", $t.b.public_key // "-",
     (if $t and $p and $d and $g and all($d.b.attempts[]; (.code == "CKR_OK") == (.name | startswith("destroy-"))) and all($d.b.searches[]; .found == 0)
        and (any($g.b.objects[]; .id == $t.b.cka_id) | not) then "gone" else "-" end), ($serial[$k.hsm] // "" | @base64)] | map(tostring) | @tsv' ../bodies.jsonl
  while IFS=$'\t' read -r hsm role algorithm key n id sig shown made numbered; do
    isn "$key" "$b64" "a key of retired-bundle.json" && isn "$n" "$int" "a target" || continue
    if ((n == 0)); then fail "no record tells of the key of $hsm $role"; continue; fi
    put64 ../doomed-"$n".der "$key"
    same "$hsm $role: its record is of the key of retired-bundle.json" "$(sum ../doomed-"$n".der)" "$shown"
    if [[ $made == gone ]]; then pass "$hsm $role: destroyed by the HSM's answers, and a new process didn't find $id: the HSM's own word"; else fail "$hsm $role: the records don't show that it is gone"; fi
    if [[ $sig == - || $algorithm == ml-dsa-* ]]; then open "how $hsm $role showed itself before, which these tools can't judge ($algorithm)"; continue; fi
    printf %s "$sig" | base64 -d >../doomed-"$n".sig
    printf -v text 'fleetctl proof-of-possession v1\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n' "$mode" "$ceremony" "$plan" "$(serial "$numbered")" "$role" "$(sum ../doomed-"$n".der)" "$(sumtext "fleetctl nonce v1"$'\n'"${HASH[$n]}"$'\n')"
    put ../doomed-"$n".txt "$text"
    if verify "$algorithm" ../doomed-"$n".der ../doomed-"$n".txt ../doomed-"$n".sig; then pass "$hsm $role answered its nonce before"; else fail "$hsm $role: the signature by which it showed itself does not verify"; fi
  done <../doomed.tsv
  need statement.signed
  need countersigned
  brought
  open "the rules of the records (SPEC 6.4, 7); that the HSMs tell the truth, and that there is no backup, copy or clone, no tool shows"
}

# brought judges the bundle that brought the keys by the same parts as the retirement's.
brought() {
  local bundle=retired-bundle.json keys=../retired.json artifact=$retired
  claim_statement_signed
  claim_countersigned
  [[ ! -s ../log_policy ]] || proof "$bundle" "$bundle.tlog-proof"
}

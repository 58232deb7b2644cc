# Sourced by scripts/verify-by-hand: third parties' statements (SPEC 12) and the
# operator's countersignature (SPEC 14), by the policy's keys alone.

# claim_statement_signed: third parties' statements about the artifact (SPEC 12).
varint() { local v=$1 out='' b; while ((v > 127)); do printf -v b %02x $((v % 128 + 128)); out+=$b v=$((v / 128)); done; printf '%s%02x' "$out" "$v"; }
little() { local v=$1 out='' b i; for ((i = 0; i < $2; i++)); do printf -v b %02x $((v % 256)); out+=$b v=$((v / 256)); done; printf %s "$out"; }
claim_statement_signed() {
  local n=0 key json who names=() aside=0
  need package
  [[ -z ${failed[package]:-} ]] || return 0
  hybrid
  into ../statements.tsv jq -r '.statements[] | [.key, .json] | @tsv' "$bundle"
  if [[ $object == evidence ]]; then jq -r --argjson n "${LAST[countersignature]:-0}" 'select(.kind == "response" and .n > $n) | [.b.key, .b.statement] | @tsv' ../bodies.jsonl >>../statements.tsv; fi
  while IFS=$'\t' read -r key json; do
    n=$((n + 1))
    isn "$key" "$b64" "a third party's key" && isn "$json" "$b64" "statement $n" || continue
    who=${PIN[party $key]:-}
    if [[ -z $who ]]; then echo "   statement $n is by a key that the policy doesn't pin, and counts for nothing"; continue; fi
    put64 ../statement-"$n".json "$json"
    if ! statement "$n" "$key"; then fail "statement $n, by ${who%% *}: its signature does not verify, or it is about something else"; continue; fi
    if ! inside "$(cut -d' ' -f3- <<<"$who")"; then aside=1; continue; fi
    [[ " ${names[*]:-} " == *" ${who%% *} "* ]] || names+=("${who%% *}")
  done <../statements.tsv
  if ((${#names[@]} >= needed)); then pass "signed by ${names[*]}, and the policy wants $needed"
  elif ((aside)); then open "a third party's key's window is over, and when it signed (SPEC 17.3.8) isn't told here"
  else fail "${#names[@]} third parties that the policy pins signed, and it wants $needed"; fi
}
statement() { # NUMBER KEY: the message is made again from the statement's fields
  local suite space time epoch digest sig msg key
  jq -r '[(.ciphersuite // .version), .namespace, .timestamp, .epoch, .digest, .signature, (.version // .ciphersuite)] | map(tostring) | @tsv' ../statement-"$1".json >../fields
  IFS=$'\t' read -r suite space time epoch digest sig msg <../fields
  [[ $suite == "$msg" && $space =~ $token && $time =~ $int && $epoch =~ $int && $digest == "$artifact" && $sig =~ ^[0-9a-f]{128}$ ]] || return 1
  [[ "$space $epoch" == "$(jq -r '"\(.namespace) \(.epoch)"' "$keys")" ]] || return 1
  case $suite in
    1) msg=$(varint "$epoch") msg=080112$(varint ${#space})$(printf %s "$space" | hex)18$(varint "$time")22$(varint $((${#msg} / 2 + 1)))08${msg}2a20$digest ;;
    2) msg=02000000$(little ${#space} 8)$(printf %s "$space" | hex)$(little "$time" 8)$(little "$epoch" 8)2000000000000000$digest ;;
    *) return 1 ;;
  esac
  key=$(printf %s "$2" | base64 -d | hex)
  [[ $key =~ $hash ]] || return 1
  puthex ../statement-"$1".msg "$msg"
  puthex ../statement-"$1".sig "$sig"
  puthex ../statement-"$1".der "302a300506032b6570032100$key"
  verify ed25519 ../statement-"$1".der ../statement-"$1".msg ../statement-"$1".sig
}

# hybrid: a classical signature alone is not what a policy asks for that requires both.
hybrid() { if jq -e '.require_all' ../policy.json >/dev/null; then open "the post-quantum signatures that the policy requires beside these: openssl 3.0 has no ML-DSA"; fi; }

claim_mode() {
  need statement.signed
  same "the artifact is of the policy's mode" "$mode" "$(jq -r .mode "$keys")"
  if jq -e --arg n "$(jq -r .namespace "$keys")" 'any(.namespaces[]; . == $n)' ../policy.json >/dev/null; then pass "and of a namespace that the policy pins"; else fail "the policy pins another namespace"; fi
}

claim_countersigned() {
  local key key_ form sig who n=0 text line have=0 aside=0 left='' of add_key add_sig
  need package
  [[ -z ${failed[package]:-} ]] || return 0
  hybrid
  while IFS=$'\t' read -r key form sig; do
    n=$((n + 1))
    isn "$key" "$b64" "a countersigner's key" && isn "$sig" "$b64" "a countersignature" || continue
    who=${PIN[operator $key]:-}
    case $form in
      signature) jq -r '.statements[0].json' "$bundle" | base64 -d | jq -r .signature >../line; puthex ../countersigned-text "$(cat ../line)" ;;
      bound)
        printf -v text 'fleetctl countersignature v1\n%s\n%s\n%s\n%s\n' "$(jq -r .mode "$keys")" "$(jq -r .namespace "$keys")" "$(jq -r .epoch "$keys")" "$artifact"
        jq -r '.statements[] | "\(.key) \(.json | @base64d | fromjson | .signature) \(.addition.key // "-") \(.addition.signature // "-")"' "$bundle" >../signers
        while read -r key_ line add_key add_sig; do
          [[ $add_key == - ]] || add_key=$(printf %s "$add_key" | base64 -d | sha256sum) add_sig=$(printf %s "$add_sig" | base64 -d | sha256sum)
          printf '%s %s %s %s %s\n' "$(printf %s "$key_" | base64 -d | hex)" "$key_" "$(printf %s "$line" | xxd -r -p | base64 -w 0)" "${add_key%% *}" "${add_sig%% *}"
        done <../signers | sort | cut -d' ' -f2- >../sorted
        while read -r key_ line add_key add_sig; do
          text+="signer $key_ $line"$'\n'
          [[ $add_key == - ]] || text+="addition $add_key $add_sig"$'\n'
        done <../sorted
        put ../countersigned-text "$text" ;;
      *) fail "countersignature $n is of no form"; continue ;;
    esac
    [[ -n $who ]] || continue
    read -r -a of <<<"${who% *}" # name, algorithm, form
    [[ $form == "${of[2]}" ]] && spki "${of[1]}" "$(printf %s "$key" | base64 -d | hex)" || { fail "countersignature $n, by ${of[0]}, is not of the form that the policy pins"; continue; }
    if [[ ${of[1]} == ml-dsa-* ]]; then left="the countersignature of ${of[0]}: openssl 3.0 has no ML-DSA"; continue; fi
    put64 ../operator-"$n".der "$key"
    put64 ../operator-"$n".sig "$sig"
    if ! verify "${of[1]}" ../operator-"$n".der ../countersigned-text ../operator-"$n".sig; then fail "the countersignature of ${of[0]} does not verify"; continue; fi
    if inside "${who##* }"; then have=1; pass "countersigned by ${of[0]}, in the form $form"; else aside=1; fi
  done < <(jq -r '.countersignatures[] | [.key, .form, .signature] | @tsv' "$bundle")
  if ((have)); then return 0; fi
  if [[ -n $left ]]; then open "$left"; return 0; fi
  if ((aside)); then open "the operator's key's window is over, and when it signed (SPEC 17.3.8) isn't told here"; else fail "no operator whom the policy pins countersigned"; fi
}

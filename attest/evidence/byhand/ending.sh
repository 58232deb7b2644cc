# Sourced by scripts/verify-by-hand: what binds a package's files to its end (SPEC 7.3, 17).

claim_evidence_bound() {
  local close path last='' listed=" " f
  need signoffs.close
  packaged || return 0
  close=${LAST[close]:-0}
  into ../close jq -r '.files[] | "\(.sha256)  \(.path)"' "../r/$close.json"
  digests ../close "the close record"
  while read -r _ path; do
    [[ $path > $last ]] || fail "the close record's files are not sorted and distinct"
    last=$path listed+="$path "
  done <../close
  for f in **; do
    [[ -f $f && $f != transcript.jsonl && $f != MANIFEST && $f != signoffs/close/* ]] || continue
    [[ $listed == *" $f "* ]] || fail "$f is unbound: the close record does not list it"
  done
  [[ $(tr -d '\0' <index.html) == *'content="fleetctl page v4"'* ]] || open "what index.html may do: it is a page of another version (SPEC 17.6)"
  [[ -n ${failed[$at]:-} ]] || pass "and no file is there that it doesn't list"
}

claim_page() {
  need evidence.bound
  packaged || return 0
  open "that index.html says what the data says: it has the digest that the signed close record lists"
  [[ ! -f media.txt ]] || open "that the places in media.txt agree with the records' times (SPEC 17.7): it has the digest that the signed close record lists"
}

claim_fleet_drilled() {
  local n report
  need signoffs.close
  packaged || return 0
  into ../reports jq -r 'select(.kind == "drill" and .b.outcome != "none") | "\(.b.report)  drills/\(.b.number).json"' ../bodies.jsonl
  n=$(jq -rs 'map(select(.kind == "drill" and .b.outcome == "passed") | .b.number) | first // empty' ../bodies.jsonl)
  [[ ! -s ../reports ]] || digests ../reports "a record of a drill"
  if ! isn "${n:-0}" "$int" "a drill's number" || [[ -z $n ]]; then none "no record tells of a drill that passed"; return 0; fi
  report=drills/$n.json
  [[ -f $report ]] || return 0 # which failed above
  if jq -e 'def well($test): [.tests[] | select(.name == $test) | .runs - .failed] | add // 0;
    .outcome == "passed" and .faults == [] and (.counts | .released_after_lock == 0 and .without_majority == 0 and .consumed >= .acknowledged and .consumed <= .acknowledged + .ambiguous)
    and all(.stages[]; .outcome != "failed") and all(.tests[]; .failed == 0) and all(.histories[]; .result == "linearizable")
    and ([.nodes[].led] | add) == .counts.leaders and .counts.leaders >= well("leader-killed") and .counts.acknowledged >= .counts.logins + well("wrong-code")
    and .counts.logins >= well("right-code") + well("last-guess") + well("lost-passkey-then-code") and ([.histories[].operations] | add // 0) >= .counts.acknowledged + .counts.logins
    and (.stages[1].outcome != "passed" or all(.nodes[]; .led > 0 and .acknowledged > 0)) and any(.stages[]; .outcome == "passed")' "$report" >/dev/null; then pass "$report tells of nothing that failed"; else fail "$report tells of something that failed, and its record says that it passed"; fi
  same "its nodes answered with this bundle and proof" "$(jq -r '[.bundle, .proof, .ceremony] + (.nodes | map(.proof.bundle // empty)) | unique | join(" ")' "$report")" "$(printf '%s\n' "$(sum bundle.json)" "$(sum bundle.json.tlog-proof)" "$ceremony" | sort | tr '\n' ' ' | sed 's/ $//')"
  if jq -e 'has("next")' "$report" >/dev/null; then same "its next epoch follows this one's key set" "$(jq -r .next.previous "$report")" "$(sum fleet-keys.json)"; fi
  while read -r _ key; do puthex ../spki "$(printf %s "$key" | base64 -d | hex)"; sum ../spki; printf '\n'; done < <(jq -r '.keys[] | "\(.hsm) \(.public_key)"' fleet-keys.json) | sort >../spkis
  while read -r key; do isn "$key" "$hash" "a key of a node" && grep -qx "$key" ../spkis || fail "a node used a key that the fleet doesn't have: $key"; done < <(jq -r '.nodes[] | .session.spki, .agreement.spki' "$report")
  same "it has a node for every HSM" "$(jq -r '.nodes[].hsm' "$report" | sort)" "$(jq -r '.keys[].hsm' fleet-keys.json | sort -u)"
  open "the report's form and each of its rules (SPEC 27); that the drill was run as it says is people's word"
}

claim_lockdown() {
  local n
  need signoffs.close
  packaged || return 0
  n=$(jq -rs 'map(select(.kind == "lockdown")) | length' ../bodies.jsonl)
  if ((n)); then pass "$n records of a lock-down, signed off with the close: people's word"; else none "no record tells of a lock-down"; return 0; fi
  skip "that these are the entries of the plan's list, and what a login's codes show (SPEC 6.2.1)"
}

claim_evidence_logged() {
  local text f
  need signatures
  packaged || return 0
  [[ -f ../ending.tlog-proof ]] || { none "there is no proof beside the package"; return 0; }
  [[ -s ../log_policy ]] || { none "the policy pins no log"; return 0; }
  for f in signoffs/close/*; do sha256sum "$f"; done | sort -k 2 >../closing
  printf -v text 'fleetctl evidence v2\n%s\n%s\n%s\nceremony %s\nending %s\nhead %s\nsignatures %s\n' "$(get 1 .mode)" "$(get 1 .namespace)" "$(get 1 .epoch)" "$ceremony" "$(if [[ -n $destroyed ]]; then echo destroyed; else echo closed; fi)" "${HASH[$records]}" "$(sum ../closing)"
  put ../leaf "$text"
  need log.included
  log=
  proof ../leaf ../ending.tlog-proof
  if [[ -n $log && $(cat plan.yaml) == *"$log"* ]]; then pass "and it is a log that the plan names"; elif [[ -n $log ]]; then fail "the plan names another log"; fi
  local -a mine theirs
  mapfile -t mine <<<"$checkpoint"
  mapfile -t theirs <<<"${seen_checkpoint:-}"
  if [[ ${mine[0]} == "${theirs[0]}" && ${mine[1]} == "${theirs[1]}" && ${mine[2]} != "${theirs[2]}" ]]; then fail "the log signed two trees of ${mine[1]} entries"; fi
  [[ $quorum == none ]] || witnessed "$records"
}

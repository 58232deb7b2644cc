# Sourced by scripts/verify-by-hand: who approved what and signed off which stage
# (SPEC 7.2, 7.3), by the policy's people alone.

declare -A PLANNED=() HEARD=() KEY=() PINNED=() NAMED=() # whom the plan names, by key; whom a signature is by, as the plan names them
# The plan's people, by its own keys: they are heard, and count only if the policy pins them.
planned() {
  local line who name='' role='' in=0
  plan_least=0
  : >../planned
  while IFS= read -r line; do
    [[ $line =~ ^threshold:\ ([1-9][0-9]{0,3})$ ]] && plan_least=${BASH_REMATCH[1]}
    [[ $line =~ ^[a-z] ]] && { in=0; [[ $line != people: ]] || in=1; }
    ((in)) || continue
    [[ $line =~ ^\ \ -\ name:\ ([A-Za-z0-9._-]+)$ ]] && name=${BASH_REMATCH[1]} role=
    [[ $line =~ ^\ +role:\ ([a-z]+)$ ]] && role=${BASH_REMATCH[1]}
    [[ $line =~ ^\ +key:\ ([a-z0-9@.-]+\ [A-Za-z0-9+/=]+) && -n $name && -n $role ]] && PLANNED["${BASH_REMATCH[1]}"]=$role/$name && echo "$role/$name ${BASH_REMATCH[1]}" >>../planned
  done <plan.yaml
  while read -r who line; do KEY["allowed $who"]=$line PINNED["$line"]=${who#*/} NAMED["${who#*/}"]=$line; done <../allowed
  while read -r who line; do KEY["planned $who"]=$line; done <../planned
  # A name of the plan that the policy gives to somebody else, while it has this key under another name.
  while read -r who line; do
    [[ -n ${PINNED["$line"]:-} && ${PINNED["$line"]} != "${who#*/}" && -n ${NAMED["${who#*/}"]:-} && ${NAMED["${who#*/}"]} != "$line" ]] || continue
    fail "plan and policy call ${who#*/} and ${PINNED["$line"]} by each other's name: one of them would have two voices"
  done <../planned
  m=$least # officers who have to agree
  if ((plan_least > m)); then m=$plan_least; fi
  [[ -s ../planned && $plan_least != 0 ]] || open "what plan.yaml says of its people: it isn't written as fleetctl writes a plan"
}

# signature TEXT SIGNATURE NAMESPACE: who of the pinned signed it, else of the plan, else nobody.
signature() {
  local space=$3 who list
  [[ $mode == production ]] || space+=-rehearsal
  if sed '1d;$d' "$2" | base64 -d 2>/dev/null | grep -aq ssh-mldsa44-ed25519 && ! ssh -Q key-sig 2>/dev/null | grep -q ssh-mldsa44-ed25519; then
    open "$2: by a hybrid key, which this OpenSSH doesn't know"
    SIGNER[$2]="- -"
    return
  fi
  for list in ../allowed ../planned; do
    who=$(ssh-keygen -Y find-principals -s "$2" -f "$list" 2>/dev/null | head -n 1) || who=
    [[ -z $who ]] || break
  done
  if [[ -z $who ]]; then
    from "$1" ssh-keygen -Y check-novalidate -n "$space" -s "$2" || return 1
    SIGNER[$2]="- -"
    return
  fi
  from "$1" ssh-keygen -Y verify -f "$list" -I "$who" -n "$space" -s "$2" || return 1
  SIGNER[$2]="${list##*/} $who"
  HEARD["${2%/*} ${PLANNED["${KEY["${list##*/} $who"]}"]:-}"]=1
}

# claim_signatures: every file in the folders of what people signed, whomever the policy pins.
claim_signatures() {
  local f name act n text want lines kind
  need package
  packaged || return 0
  planned
  for f in plan-approvals/*; do
    [[ $f == *.sig ]] || { fail "$f: in this folder lie signatures over plan.yaml and nothing else"; continue; }
    signature plan.yaml "$f" fleetctl-plan || fail "$f is no signature over plan.yaml"
  done
  for f in approvals/* signoffs/release/* signoffs/close/*; do
    if [[ $f == *.sig ]]; then [[ -f ${f%.sig} ]] || fail "$f has no text"; continue; fi
    [[ -f $f.sig ]] || { fail "$f has no signature"; continue; }
    mapfile -t lines <"$f"
    n=${lines[5]##* } kind=$(sum "$f")
    if [[ $f == approvals/* ]]; then
      act=${lines[1]#act } name=${f#approvals/}
      [[ $act =~ ^(open|resume|reconvene|request|countersign|exception|abort)$ && $n =~ $int && $name == "$act-$n-"* ]] || { fail "$f is no approval of this name"; continue; }
      printf -v want 'fleetctl approval v1\nact %s\n%s\n%s\nplan %s\nhead %s %s\nsubject %s\nrole officer\n' "$act" "$mode" "$ceremony" "$plan" "${HASH[$n]:--}" "$n" "${lines[6]#subject }"
      case $act in open | resume | reconvene | abort) text=fleetctl-session ;; *) text=fleetctl-$act ;; esac
      case $act in
        request | countersign) [[ ${lines[6]#subject } =~ $hash ]] ;;
        exception) [[ ${lines[6]#subject } == "${HASH[$n]:-}" && ${KIND[$n]:-} == exception ]] ;;
        *) [[ ${lines[6]} == "subject -" && $act != abort ]] ;;
      esac || { fail "$f has another subject than its act"; continue; }
    else
      act=${f#signoffs/} act=${act%/*} n=${LAST[$act]:-0} text=fleetctl-signoff
      [[ ${lines[8]:-} =~ ^verdict\ (agree|agree-with-exceptions\ [0-9,]+|do-not-agree)$ && ${lines[7]} =~ ^role\ (officer|witness|auditor)$ ]] || { fail "$f is no verdict"; continue; }
      printf -v want 'fleetctl signoff v1\nstage %s\n%s\n%s\nplan %s\nhead %s %s\nartifact %s\n%s\n%s\n' "$act" "$mode" "$ceremony" "$plan" "${HASH[$n]}" "$n" "${retired:-$artifact}" "${lines[7]}" "${lines[8]}"
    fi
    [[ $kind == "$(sumtext "$want")" ]] || { fail "$f is not about this ceremony and its records"; continue; }
    signature "$f" "$f.sig" "$text" || fail "$f.sig is no signature over $f"
  done
  ((${#SIGNER[@]})) || { fail "nobody signed anything"; return 0; }
  pass "each of ${#SIGNER[@]} signatures is one over its text, in its namespace; each text is about this ceremony"
  skip "that each signature is written in its one form, and that a FIDO2 key's owner was present (SPEC 2)"
}

# counts SIGNATURE ROLE: by a pinned person of this part, in time, and inside the key's window. Says the name.
counts() {
  local list who line n before
  read -r list who <<<"${SIGNER[$1]:-- -}"
  [[ $list == allowed && $who == "$2"/* ]] || return 1
  if ! inside "$(cut -d' ' -f3- <<<"${PIN[person $who]}")"; then aside=1; return 1; fi
  n=${1#approvals/*-} n=${n%%-*} before=
  case $1 in
    signoffs/close/* | approvals/exception-*) ;;
    approvals/*) if ((n < ${LAST[request]:-0})); then before=request; elif ((n < ${LAST[countersignature]:-0})); then before=countersignature; fi ;;
    *) before=request ;;
  esac
  [[ $1 != approvals/exception-* ]] || ((n > ${LAST[request]:-0})) || before=request
  ((${LAST[request]:-0})) || before='' # keys that are destroyed are asked of nobody
  [[ -z $before || -n ${LISTED["$before $1"]:-} ]] || return 1
  counted=${who#*/}
}
# enough ROLE NUMBER WHAT SIGNATURE...: so many different people of the role, by name.
enough() {
  local role=$1 want=$2 what=$3 f counted aside=0 names=()
  shift 3
  for f; do
    if counts "$f" "$role"; then [[ " ${names[*]:-} " == *" $counted "* ]] || names+=("$counted"); fi
  done
  if ((${#names[@]} >= want)); then pass "$what: ${names[*]}"; return; fi
  if ((aside)); then open "$what: a key's window is over, and when it was signed (SPEC 17.3.8) isn't told here"; return; fi
  fail "$what: ${#names[@]} of $want that the policy pins${names:+ (${names[*]})}"
}

claim_plan_approved() {
  need signatures
  packaged || return 0
  local n opened='' subject
  enough officer "$m" "officers approved the plan" plan-approvals/*.sig
  for ((n = 1; n <= records; n++)); do
    case ${KIND[$n]} in
      unlock) [[ -n $opened ]] || act open $((n - 1)) -; opened=1 ;;
      resume | reconvene) act "${KIND[$n]}" $((n - 1)) - ;;
      request) act request $((n - 1)) "$(get "$n" .core)" ;;
      countersignature) need countersigned; subject=$(sum "../countersigned-text"); act countersign $((n - 1)) "$subject" ;;
      exception) act exception "$n" "${HASH[$n]}" ;;
    esac
  done
}
# act ACT HEAD SUBJECT: enough officers approved exactly this.
act() {
  local f files=()
  for f in approvals/"$1-$2"-*.sig; do
    mapfile -t lines <"${f%.sig}"
    [[ ${lines[6]} != "subject $3" ]] || files+=("$f")
  done
  enough officer "$m" "officers approved the act $1 over record $2" "${files[@]}"
}

claim_signoffs_release() { signoff release; }
claim_signoffs_close() { signoff close; }
signoff() {
  need signatures
  packaged || return 0
  local f line who part agree=() excused=" " number last most
  most=$(jq -s --arg s "$1" --argjson r "${LAST[request]:-0}" 'map(select(.kind == "exception" and ($s == "close" or .n < $r))) | length' ../bodies.jsonl)
  for f in signoffs/"$1"/*.sig; do
    mapfile -t lines <"${f%.sig}"
    read -r part who <<<"${SIGNER[$f]:-- -}"
    if [[ $part != - && ${lines[7]} != "role ${who%%/*}" ]]; then fail "$f: $who signs in another part than theirs"; fi
    last=0
    [[ ${lines[8]} =~ ^verdict\ [a-z-]+(\ [0-9,]+)?$ ]] || { fail "$f is no verdict"; continue; } # nor a pattern of names
    for number in $([[ ${lines[8]} != *exceptions* ]] || tr , ' ' <<<"${lines[8]##* }"); do
      if [[ ! $number =~ $int ]] || ((number <= last || number > most)); then fail "$f agrees to exceptions that this stage doesn't have"; fi
      last=$number
    done
    if [[ ${lines[8]} != *do-not-agree ]]; then agree+=("$f"); elif [[ $part != - ]]; then fail "$who does not agree with the $1"; fi
  done
  enough officer "$m" "officers agree with the $1" "${agree[@]}"
  enough witness 1 "a witness agrees with the $1" "${agree[@]}"
  enough auditor 1 "an auditor agrees with the $1" "${agree[@]}"
  while read -r line; do excused+="$line "; done < <(jq -r --arg s "$1" --arg d "$destroyed" --argjson r "${LAST[request]:-0}" 'select(.kind == "exception" and ($r > 0 or $d == "1") and ((.n < $r) == ($s == "release"))) | .b.absent // [] | .[]' ../bodies.jsonl)
  [[ $excused == " " ]] || need plan.approved # an exception excuses only if officers accepted it
  while read -r who _; do
    [[ $who == officer/* || $excused == *" ${who#*/} "* ]] && continue
    # Whom the plan names is heard by the plan's key, whether the policy pins it or not.
    [[ -n ${HEARD["signoffs/$1 $who"]:-} ]] || fail "no verdict of $who, whom the plan names, on the $1"
  done <../planned
}

claim_abort_signed() { need package; open "an aborted ceremony is judged by fleetctl verify --expect abort"; }

# Sourced last: judges the claims that CLAIMS lists, and says what came of each.

main() {
  local c word code=0 said
  package=$1 now=${now:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}
  [[ $now =~ $rfc ]] || die "the time $now is not of the form 2026-11-21T10:00:00Z"
  [[ -f $package ]] || die "$package: no such file"
  package=$(cd "$(dirname -- "$package")" && pwd -P)/$(basename -- "$package")
  cp -- "$2" "$work/policy.json"
  [[ ! -f ${package%.tar}.tlog-proof ]] || cp -- "${package%.tar}.tlog-proof" "$work/ending.tlog-proof"
  cd "$work"
  pins
  echo "-- package"
  judged[package]=1
  claim_package
  if [[ -n $destroyed ]]; then
    ((${#CLAIMS[@]} == 1)) || CLAIMS=(mode plan.approved statement.signed countersigned log.included log.witnessed lockdown signoffs.close evidence.bound page evidence.logged keys.destroyed)
    echo "It is of a ceremony that destroyed keys, and evidence of no fleet."
  fi
  for c in "${CLAIMS[@]}"; do at=$c; need "$c"; done
  finished=1
  line "$(basename -- "$package")"
  printf '\n%s\n' "What the commands above show of $said, at $now:"
  ((${#failed[@]} == 0)) || echo "Something FAILED. Nothing of this file is to be relied on, what holds by itself neither."
  for c in package "${CLAIMS[@]}"; do
    word=checked said=${notes[$c]:-}
    ((${#failed[@]} == 0)) || word="holds alone"
    [[ -z ${undecided[$c]:-} ]] || word="not checked"
    [[ -z ${absent[$c]:-} ]] || word="not shown"
    if [[ -n ${failed[$c]:-} ]]; then word=FAILED code=1; fi
    printf '  %-13s%s\n' "$word" "$c"
    [[ -z $said ]] || printf '               %s%s\n' "$([[ $word == checked || $word == holds* ]] && echo 'not checked: ')" "$said"
  done
  if [[ -n $unpinned ]]; then
    echo "UNPINNED: nobody confirmed the keys of $unpinned, under confirmed: in the policy; a verdict is worth what they are"
    code=1
  fi
  ((code)) || echo "What was checked holds. That is no verdict: fleetctl verify gives one."
  echo "Not checked at all: the rules of records (SPEC 6, 7, 9), the order and form of keys and signatures (SPEC 2), what lies beside this file."
  # A script of one claim says so where these tools don't decide it.
  if ((${#CLAIMS[@]} == 1 && code == 0)) && [[ -n ${undecided[${CLAIMS[0]}]:-} ]]; then code=3; fi
  exit "$code"
}

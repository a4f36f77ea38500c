#!/usr/bin/env bash
# Checks the bash completion against the program itself: completion.sh SOURCE HOLDFAST
set -euo pipefail
source=$1
holdfast=$2
# shellcheck source=/dev/null
. "$source/packaging/completion/holdfast.bash"

faults=0
expect() {  # expect WORD LINE...: completing LINE offers WORD
  local word=$1
  shift
  COMP_WORDS=("$holdfast" "$@")
  COMP_CWORD=$#
  COMPREPLY=()
  _holdfast
  if [[ " ${COMPREPLY[*]} " != *" $word "* ]]; then
    echo "completing 'holdfast $*' does not offer $word but: ${COMPREPLY[*]}"
    faults=$((faults + 1))
  fi
}

commands="run check init status route restart stop version"
for command in $commands; do
  expect "$command" "${command:0:2}"
  "$holdfast" --help | grep -w "$command" >/dev/null || { echo "the program has no command $command"; faults=$((faults + 1)); }
done
expect --drain-timeout run --dr
expect --listen run --l
expect -w run -
expect --json status --j
expect --json check --j
expect --config run --conf
expect --wait stop --w
expect refuse run --overflow r
expect bash run -- bas
[ "$faults" -eq 0 ] && echo "completion: the program's commands and options are offered"

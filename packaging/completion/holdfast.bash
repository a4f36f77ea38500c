# Completion of holdfast(1) for bash; installed as holdfast in share/bash-completion/completions.
# Commands and options are asked of the program itself, so this file needs no change when they do.

_holdfast_help_words() {  # _holdfast_help_words PATTERN [COMMAND]: what matches in the first column of the help
  "${COMP_WORDS[0]}" ${2:+"$2"} --help 2>/dev/null | grep -oE "$1" | tr -d ' ,' | sort -u
}

_holdfast_names() {  # supervisors that have a control socket where the program looks for them
  local directory=/run/holdfast socket
  if [[ $EUID -ne 0 ]]; then
    directory=${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/holdfast}
    directory=${directory:-/tmp/holdfast-$EUID}
  fi
  for socket in "$directory"/*.sock; do
    if [[ -S $socket ]]; then
      socket=${socket##*/}
      echo "${socket%.sock}"
    fi
  done
}

_holdfast() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} index
  COMPREPLY=()

  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "run check init import status clients route restart reload scale drain undrain publish tail upgrade stop version --help" -- "$current")
    return
  fi

  # Behind "--" stands the command of the workers.
  for ((index = 2; index < COMP_CWORD; index++)); do
    if [[ ${COMP_WORDS[index]} == -- ]]; then
      if declare -F _command_offset >/dev/null; then
        _command_offset $((index + 1))
      elif [[ $COMP_CWORD -eq $((index + 1)) ]]; then
        mapfile -t COMPREPLY < <(compgen -A command -A file -- "$current")
      else
        mapfile -t COMPREPLY < <(compgen -A file -- "$current")
      fi
      return
    fi
  done

  case $previous in
    -c | --config | --control | --binary) mapfile -t COMPREPLY < <(compgen -A file -- "$current") ;;
    --working-directory) mapfile -t COMPREPLY < <(compgen -A directory -- "$current") ;;
    --overflow) mapfile -t COMPREPLY < <(compgen -W "next wait refuse" -- "$current") ;;
    --intake) mapfile -t COMPREPLY < <(compgen -W "auto sdk listen-fds capture node none" -- "$current") ;;
    --drain-wait) mapfile -t COMPREPLY < <(compgen -W "queue connections" -- "$current") ;;
    --stop-signal) mapfile -t COMPREPLY < <(compgen -W "TERM INT QUIT HUP USR1 USR2 WINCH" -- "$current") ;;
    --plane) mapfile -t COMPREPLY < <(compgen -W "auto pass steer self" -- "$current") ;;
    --bus-full) mapfile -t COMPREPLY < <(compgen -W "drop-oldest drop-newest disconnect" -- "$current") ;;
    --file) mapfile -t COMPREPLY < <(compgen -A file -- "$current") ;;
    --node-dialect)
      mapfile -t COMPREPLY < <(compgen -W "auto cluster sticky-session sticky-session-0 sticky-cluster sticky-listen socket.io plain" -- "$current")
      ;;
    --node-sticky-by) mapfile -t COMPREPLY < <(compgen -W "address session" -- "$current") ;;
    --node-ready) mapfile -t COMPREPLY < <(compgen -W "listening message" -- "$current") ;;
    --node-farewell) mapfile -t COMPREPLY < <(compgen -W "disconnect message" -- "$current") ;;
    --node-serialization) mapfile -t COMPREPLY < <(compgen -W "json advanced" -- "$current") ;;
    --node-messages) mapfile -t COMPREPLY < <(compgen -W "log relay drop" -- "$current") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W "debug info warning error" -- "$current") ;;
    --keep-state) mapfile -t COMPREPLY < <(compgen -W "no systemd" -- "$current") ;;
    -w | --workers) mapfile -t COMPREPLY < <(compgen -W "auto" -- "$current") ;;
    --name)
      [[ $command == run || $command == check ]] || mapfile -t COMPREPLY < <(compgen -W "$(_holdfast_names)" -- "$current")
      ;;
    *)
      if [[ $command == init ]]; then
        mapfile -t COMPREPLY < <(compgen -A file -- "$current")
      elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_holdfast_help_words '(^|[ ,])--?[a-z][a-z0-9-]*' "$command") --" -- "$current")
      fi
      ;;
  esac
}

complete -F _holdfast holdfast

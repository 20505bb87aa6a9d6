# The commands of a checkout, and what only the server knows: ids, names of sandboxes and templates.
_complete_podflare_with_names() {
  _complete_podflare
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} kind=
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY+=($(compgen -W "build test bench rig" -- "$word"))
    return
  fi
  case $before in
    --template | --from) kind=templates ;;
    --sandbox) kind=sandboxes ;;
    -*) ;;
    *)
      case ${COMP_WORDS[1]} in
        close | rm | kill | fork | tree | diff | merge | freeze | exec | shell | execs | attach | repl | logs | info | inspect | interrupt | cp) kind=sandboxes ;;
        resume) kind=spaces ;;
        spaces) [ "${COMP_WORDS[2]}" != delete ] || kind=spaces ;;
        template) [ "${COMP_WORDS[2]}" != delete ] || kind=templates ;;
      esac
      ;;
  esac
  case $word in -*) kind= ;; esac
  [ -z "$kind" ] || COMPREPLY+=($(compgen -W "$("${COMP_WORDS[0]}" complete "$kind" 2>/dev/null)" -- "$word"))
}
complete -o default -F _complete_podflare_with_names podflare podflare.sh podflare.bash

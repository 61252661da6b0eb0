#compdef transactions-worker

autoload -U is-at-least

_transactions-worker() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_transactions-worker_commands" \
"*::: :->transactions-worker" \
&& ret=0
    case $state in
    (transactions-worker)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:transactions-worker-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
'--instance=[Which instance this is\: the N of transactions-worker@N.service]:N:_default' \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_transactions-worker__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:transactions-worker-help-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_transactions-worker_commands] )) ||
_transactions-worker_commands() {
    local commands; commands=(
'serve:Work until SIGTERM' \
'validate:Check the configuration\: exit status 0, or 64 with the file, line and key' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'transactions-worker commands' commands "$@"
}
(( $+functions[_transactions-worker__subcmd__help_commands] )) ||
_transactions-worker__subcmd__help_commands() {
    local commands; commands=(
'serve:Work until SIGTERM' \
'validate:Check the configuration\: exit status 0, or 64 with the file, line and key' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'transactions-worker help commands' commands "$@"
}
(( $+functions[_transactions-worker__subcmd__help__subcmd__help_commands] )) ||
_transactions-worker__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-worker help help commands' commands "$@"
}
(( $+functions[_transactions-worker__subcmd__help__subcmd__serve_commands] )) ||
_transactions-worker__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-worker help serve commands' commands "$@"
}
(( $+functions[_transactions-worker__subcmd__help__subcmd__validate_commands] )) ||
_transactions-worker__subcmd__help__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-worker help validate commands' commands "$@"
}
(( $+functions[_transactions-worker__subcmd__serve_commands] )) ||
_transactions-worker__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-worker serve commands' commands "$@"
}
(( $+functions[_transactions-worker__subcmd__validate_commands] )) ||
_transactions-worker__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-worker validate commands' commands "$@"
}

if [ "$funcstack[1]" = "_transactions-worker" ]; then
    _transactions-worker "$@"
else
    compdef _transactions-worker transactions-worker
fi

#compdef unit-exporter

autoload -U is-at-least

_unit-exporter() {
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
":: :_unit-exporter_commands" \
"*::: :->unit-exporter" \
&& ret=0
    case $state in
    (unit-exporter)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:unit-exporter-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
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
":: :_unit-exporter__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:unit-exporter-help-command-$line[1]:"
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

(( $+functions[_unit-exporter_commands] )) ||
_unit-exporter_commands() {
    local commands; commands=(
'serve:Serve metrics' \
'validate:Check the configuration and exit\: 0 if it can be used, 64 if not' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'unit-exporter commands' commands "$@"
}
(( $+functions[_unit-exporter__subcmd__help_commands] )) ||
_unit-exporter__subcmd__help_commands() {
    local commands; commands=(
'serve:Serve metrics' \
'validate:Check the configuration and exit\: 0 if it can be used, 64 if not' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'unit-exporter help commands' commands "$@"
}
(( $+functions[_unit-exporter__subcmd__help__subcmd__help_commands] )) ||
_unit-exporter__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'unit-exporter help help commands' commands "$@"
}
(( $+functions[_unit-exporter__subcmd__help__subcmd__serve_commands] )) ||
_unit-exporter__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'unit-exporter help serve commands' commands "$@"
}
(( $+functions[_unit-exporter__subcmd__help__subcmd__validate_commands] )) ||
_unit-exporter__subcmd__help__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'unit-exporter help validate commands' commands "$@"
}
(( $+functions[_unit-exporter__subcmd__serve_commands] )) ||
_unit-exporter__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'unit-exporter serve commands' commands "$@"
}
(( $+functions[_unit-exporter__subcmd__validate_commands] )) ||
_unit-exporter__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'unit-exporter validate commands' commands "$@"
}

if [ "$funcstack[1]" = "_unit-exporter" ]; then
    _unit-exporter "$@"
else
    compdef _unit-exporter unit-exporter
fi

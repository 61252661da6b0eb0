#compdef transactions-api

autoload -U is-at-least

_transactions-api() {
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
":: :_transactions-api_commands" \
"*::: :->transactions-api" \
&& ret=0
    case $state in
    (transactions-api)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:transactions-api-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(faults)
_arguments "${_arguments_options[@]}" : \
'--socket=[The daemon'\''s admin socket (\`admin_socket\` of its configuration)]:PATH:_files' \
'-h[Print help]' \
'--help[Print help]' \
":: :_transactions-api__subcmd__faults_commands" \
"*::: :->faults" \
&& ret=0

    case $state in
    (faults)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:transactions-api-faults-command-$line[1]:"
        case $line[1] in
            (set)
_arguments "${_arguments_options[@]}" : \
'--for=[For how long; they end by themselves]:TIME:_default' \
'-h[Print help]' \
'--help[Print help]' \
'*::settings -- Each fault with its strength:_default' \
&& ret=0
;;
(clear)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_transactions-api__subcmd__faults__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:transactions-api-faults-help-command-$line[1]:"
        case $line[1] in
            (set)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(clear)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(list)
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
;;
(backup)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(migrate)
_arguments "${_arguments_options[@]}" : \
'--from=[The file that is in use, \`sqlite\:/var/lib/transactions/transactions.db\`]:STORE:_default' \
'--to=[An empty database, \`postgresql\://user@host/database\`]:STORE:_default' \
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
":: :_transactions-api__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:transactions-api-help-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(faults)
_arguments "${_arguments_options[@]}" : \
":: :_transactions-api__subcmd__help__subcmd__faults_commands" \
"*::: :->faults" \
&& ret=0

    case $state in
    (faults)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:transactions-api-help-faults-command-$line[1]:"
        case $line[1] in
            (set)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(clear)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(backup)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(migrate)
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

(( $+functions[_transactions-api_commands] )) ||
_transactions-api_commands() {
    local commands; commands=(
'serve:Serve the API until SIGTERM' \
'faults:Break the running daemon on purpose, for a while' \
'backup:Copy the store beside the running daemon, check the copy, remove the oldest ones' \
'migrate:Move every transaction to the other engine, or none; stop the daemons first' \
'validate:Check the configuration\: exit status 0, or 64 with the file, line and key' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'transactions-api commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__backup_commands] )) ||
_transactions-api__subcmd__backup_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api backup commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults_commands] )) ||
_transactions-api__subcmd__faults_commands() {
    local commands; commands=(
'set:Inject faults\: latency=200ms jitter=100ms errors=0.3 hang memory=16MiB slow-store=50ms' \
'clear:End all faults' \
'list:Show what is active' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'transactions-api faults commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__clear_commands] )) ||
_transactions-api__subcmd__faults__subcmd__clear_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api faults clear commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__help_commands] )) ||
_transactions-api__subcmd__faults__subcmd__help_commands() {
    local commands; commands=(
'set:Inject faults\: latency=200ms jitter=100ms errors=0.3 hang memory=16MiB slow-store=50ms' \
'clear:End all faults' \
'list:Show what is active' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'transactions-api faults help commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__help__subcmd__clear_commands] )) ||
_transactions-api__subcmd__faults__subcmd__help__subcmd__clear_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api faults help clear commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__help__subcmd__help_commands] )) ||
_transactions-api__subcmd__faults__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api faults help help commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__help__subcmd__list_commands] )) ||
_transactions-api__subcmd__faults__subcmd__help__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api faults help list commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__help__subcmd__set_commands] )) ||
_transactions-api__subcmd__faults__subcmd__help__subcmd__set_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api faults help set commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__list_commands] )) ||
_transactions-api__subcmd__faults__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api faults list commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__faults__subcmd__set_commands] )) ||
_transactions-api__subcmd__faults__subcmd__set_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api faults set commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help_commands] )) ||
_transactions-api__subcmd__help_commands() {
    local commands; commands=(
'serve:Serve the API until SIGTERM' \
'faults:Break the running daemon on purpose, for a while' \
'backup:Copy the store beside the running daemon, check the copy, remove the oldest ones' \
'migrate:Move every transaction to the other engine, or none; stop the daemons first' \
'validate:Check the configuration\: exit status 0, or 64 with the file, line and key' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'transactions-api help commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__backup_commands] )) ||
_transactions-api__subcmd__help__subcmd__backup_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help backup commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__faults_commands] )) ||
_transactions-api__subcmd__help__subcmd__faults_commands() {
    local commands; commands=(
'set:Inject faults\: latency=200ms jitter=100ms errors=0.3 hang memory=16MiB slow-store=50ms' \
'clear:End all faults' \
'list:Show what is active' \
    )
    _describe -t commands 'transactions-api help faults commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__faults__subcmd__clear_commands] )) ||
_transactions-api__subcmd__help__subcmd__faults__subcmd__clear_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help faults clear commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__faults__subcmd__list_commands] )) ||
_transactions-api__subcmd__help__subcmd__faults__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help faults list commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__faults__subcmd__set_commands] )) ||
_transactions-api__subcmd__help__subcmd__faults__subcmd__set_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help faults set commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__help_commands] )) ||
_transactions-api__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help help commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__migrate_commands] )) ||
_transactions-api__subcmd__help__subcmd__migrate_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help migrate commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__serve_commands] )) ||
_transactions-api__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help serve commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__help__subcmd__validate_commands] )) ||
_transactions-api__subcmd__help__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api help validate commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__migrate_commands] )) ||
_transactions-api__subcmd__migrate_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api migrate commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__serve_commands] )) ||
_transactions-api__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api serve commands' commands "$@"
}
(( $+functions[_transactions-api__subcmd__validate_commands] )) ||
_transactions-api__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'transactions-api validate commands' commands "$@"
}

if [ "$funcstack[1]" = "_transactions-api" ]; then
    _transactions-api "$@"
else
    compdef _transactions-api transactions-api
fi

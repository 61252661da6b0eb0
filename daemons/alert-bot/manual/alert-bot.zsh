#compdef alert-bot

autoload -U is-at-least

_alert-bot() {
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
":: :_alert-bot_commands" \
"*::: :->alert-bot" \
&& ret=0
    case $state in
    (alert-bot)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:alert-bot-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'--polkit-rules=[The deployed polkit rule, compared with the one that the policy needs where it is there]:POLKIT_RULES:_files' \
'--units-may-be-missing[Only warn of units that this host does not have\: they may be installed later]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(polkit-rules)
_arguments "${_arguments_options[@]}" : \
'-o+[Write the rule into this file, whole or not at all, instead of printing it]:FILE:_files' \
'--output=[Write the rule into this file, whole or not at all, instead of printing it]:FILE:_files' \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(simulate)
_arguments "${_arguments_options[@]}" : \
'--since=[The decisions of this time, from the ledger]:SINCE:_default' \
'--history=[Decisions from this file instead, one JSON value a line, as \`--export\` prints them]:HISTORY:_files' \
'--config=[The configuration file]:CONFIG:_files' \
'(--history)--export[Print the recorded decisions themselves, for \`--history\`]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(test)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
':tests -- The file with the tests; see docs/policy.md:_files' \
&& ret=0
;;
(incidents)
_arguments "${_arguments_options[@]}" : \
'--since=[Only those opened within this time, such as \`7d\` or \`12h 30m\`]:SINCE:_default' \
'--unit=[Only those of this unit]:UNIT:_default' \
'--outcome=[Only those that ended so, such as \`effective\`]:OUTCOME:_default' \
'--config=[The configuration file]:CONFIG:_files' \
'--json[As JSON]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(incident)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'--json[As JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':id -- Its id, or the beginning of it:_default' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(reload)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(pause)
_arguments "${_arguments_options[@]}" : \
'--unit=[Only this unit; without it, the whole bot]:UNIT:_default' \
'--for=[For how long, such as \`30m\`; at most 7 days]:LENGTH:_default' \
'--why=[Why, for those who find the bot paused]:WHY:_default' \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(resume)
_arguments "${_arguments_options[@]}" : \
'--unit=[End the pause of this unit; without it, that of the whole bot]:UNIT:_default' \
'(--unit)--rule=[Close this rule'\''s circuit and end its demotion instead]:RULE:_default' \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(approve)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
':incident -- The incident'\''s id, or the beginning of it:_default' \
&& ret=0
;;
(deny)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
':incident -- The incident'\''s id, or the beginning of it:_default' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'--alert=[A file with a webhook'\''s body; its first alert is explained]:ALERT:_files' \
'--config=[The configuration file]:CONFIG:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_alert-bot__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:alert-bot-help-command-$line[1]:"
        case $line[1] in
            (serve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(polkit-rules)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(simulate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(test)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(incidents)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(incident)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(reload)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(pause)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(resume)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(approve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(deny)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(explain)
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

(( $+functions[_alert-bot_commands] )) ||
_alert-bot_commands() {
    local commands; commands=(
'serve:Run the daemon (what the unit starts)' \
'validate:Check configuration and policy; exit 64 where they cannot be used, 1 where a rule never works' \
'polkit-rules:Print the polkit rule that grants what the policy needs, and nothing else' \
'simulate:Make past decisions again under the policy in the files, and show what would differ' \
'test:Run unit tests of the policy' \
'incidents:List incidents, newest first' \
'incident:Tell the story of one incident' \
'status:Say how the bot is\: pauses, budgets, open incidents' \
'reload:Read the policy again; one with a mistake is refused and the old one stays' \
'pause:Keep the bot'\''s hands off, for a while' \
'resume:End a pause, or declare a rule'\''s past as settled' \
'approve:Allow what an incident waits for' \
'deny:Forbid what an incident waits for' \
'explain:Say what would be decided about an alert now, and why' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'alert-bot commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__approve_commands] )) ||
_alert-bot__subcmd__approve_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot approve commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__deny_commands] )) ||
_alert-bot__subcmd__deny_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot deny commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__explain_commands] )) ||
_alert-bot__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot explain commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help_commands] )) ||
_alert-bot__subcmd__help_commands() {
    local commands; commands=(
'serve:Run the daemon (what the unit starts)' \
'validate:Check configuration and policy; exit 64 where they cannot be used, 1 where a rule never works' \
'polkit-rules:Print the polkit rule that grants what the policy needs, and nothing else' \
'simulate:Make past decisions again under the policy in the files, and show what would differ' \
'test:Run unit tests of the policy' \
'incidents:List incidents, newest first' \
'incident:Tell the story of one incident' \
'status:Say how the bot is\: pauses, budgets, open incidents' \
'reload:Read the policy again; one with a mistake is refused and the old one stays' \
'pause:Keep the bot'\''s hands off, for a while' \
'resume:End a pause, or declare a rule'\''s past as settled' \
'approve:Allow what an incident waits for' \
'deny:Forbid what an incident waits for' \
'explain:Say what would be decided about an alert now, and why' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'alert-bot help commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__approve_commands] )) ||
_alert-bot__subcmd__help__subcmd__approve_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help approve commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__deny_commands] )) ||
_alert-bot__subcmd__help__subcmd__deny_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help deny commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__explain_commands] )) ||
_alert-bot__subcmd__help__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help explain commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__help_commands] )) ||
_alert-bot__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help help commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__incident_commands] )) ||
_alert-bot__subcmd__help__subcmd__incident_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help incident commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__incidents_commands] )) ||
_alert-bot__subcmd__help__subcmd__incidents_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help incidents commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__pause_commands] )) ||
_alert-bot__subcmd__help__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help pause commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__polkit-rules_commands] )) ||
_alert-bot__subcmd__help__subcmd__polkit-rules_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help polkit-rules commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__reload_commands] )) ||
_alert-bot__subcmd__help__subcmd__reload_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help reload commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__resume_commands] )) ||
_alert-bot__subcmd__help__subcmd__resume_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help resume commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__serve_commands] )) ||
_alert-bot__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help serve commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__simulate_commands] )) ||
_alert-bot__subcmd__help__subcmd__simulate_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help simulate commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__status_commands] )) ||
_alert-bot__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help status commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__test_commands] )) ||
_alert-bot__subcmd__help__subcmd__test_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help test commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__help__subcmd__validate_commands] )) ||
_alert-bot__subcmd__help__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot help validate commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__incident_commands] )) ||
_alert-bot__subcmd__incident_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot incident commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__incidents_commands] )) ||
_alert-bot__subcmd__incidents_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot incidents commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__pause_commands] )) ||
_alert-bot__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot pause commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__polkit-rules_commands] )) ||
_alert-bot__subcmd__polkit-rules_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot polkit-rules commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__reload_commands] )) ||
_alert-bot__subcmd__reload_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot reload commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__resume_commands] )) ||
_alert-bot__subcmd__resume_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot resume commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__serve_commands] )) ||
_alert-bot__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot serve commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__simulate_commands] )) ||
_alert-bot__subcmd__simulate_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot simulate commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__status_commands] )) ||
_alert-bot__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot status commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__test_commands] )) ||
_alert-bot__subcmd__test_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot test commands' commands "$@"
}
(( $+functions[_alert-bot__subcmd__validate_commands] )) ||
_alert-bot__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'alert-bot validate commands' commands "$@"
}

if [ "$funcstack[1]" = "_alert-bot" ]; then
    _alert-bot "$@"
else
    compdef _alert-bot alert-bot
fi

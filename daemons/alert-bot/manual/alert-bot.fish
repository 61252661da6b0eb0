# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_alert_bot_global_optspecs
    string join \n h/help V/version
end

function __fish_alert_bot_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_alert_bot_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_alert_bot_using_subcommand
    set -l cmd (__fish_alert_bot_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c alert-bot -n "__fish_alert_bot_needs_command" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -s V -l version -d 'Print version'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "serve" -d 'Run the daemon (what the unit starts)'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "validate" -d 'Check configuration and policy; exit 64 where they cannot be used, 1 where a rule never works'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "polkit-rules" -d 'Print the polkit rule that grants what the policy needs, and nothing else'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "simulate" -d 'Make past decisions again under the policy in the files, and show what would differ'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "test" -d 'Run unit tests of the policy'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "incidents" -d 'List incidents, newest first'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "incident" -d 'Tell the story of one incident'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "status" -d 'Say how the bot is: pauses, budgets, open incidents'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "reload" -d 'Read the policy again; one with a mistake is refused and the old one stays'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "pause" -d 'Keep the bot\'s hands off, for a while'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "resume" -d 'End a pause, or declare a rule\'s past as settled'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "approve" -d 'Allow what an incident waits for'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "deny" -d 'Forbid what an incident waits for'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "explain" -d 'Say what would be decided about an alert now, and why'
complete -c alert-bot -n "__fish_alert_bot_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand serve" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand serve" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand validate" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand validate" -l polkit-rules -d 'The deployed polkit rule, compared with the one that the policy needs where it is there' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand validate" -l units-may-be-missing -d 'Only warn of units that this host does not have: they may be installed later'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand validate" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand polkit-rules" -s o -l output -d 'Write the rule into this file, whole or not at all, instead of printing it' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand polkit-rules" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand polkit-rules" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand simulate" -l since -d 'The decisions of this time, from the ledger' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand simulate" -l history -d 'Decisions from this file instead, one JSON value a line, as `--export` prints them' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand simulate" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand simulate" -l export -d 'Print the recorded decisions themselves, for `--history`'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand test" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand test" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incidents" -l since -d 'Only those opened within this time, such as `7d` or `12h 30m`' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incidents" -l unit -d 'Only those of this unit' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incidents" -l outcome -d 'Only those that ended so, such as `effective`' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incidents" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incidents" -l json -d 'As JSON'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incidents" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incident" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incident" -l json -d 'As JSON'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand incident" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand status" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand status" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand reload" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand reload" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand pause" -l unit -d 'Only this unit; without it, the whole bot' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand pause" -l for -d 'For how long, such as `30m`; at most 7 days' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand pause" -l why -d 'Why, for those who find the bot paused' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand pause" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand pause" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand resume" -l unit -d 'End the pause of this unit; without it, that of the whole bot' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand resume" -l rule -d 'Close this rule\'s circuit and end its demotion instead' -r
complete -c alert-bot -n "__fish_alert_bot_using_subcommand resume" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand resume" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand approve" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand approve" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand deny" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand deny" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand explain" -l alert -d 'A file with a webhook\'s body; its first alert is explained' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand explain" -l config -d 'The configuration file' -r -F
complete -c alert-bot -n "__fish_alert_bot_using_subcommand explain" -s h -l help -d 'Print help'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "serve" -d 'Run the daemon (what the unit starts)'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "validate" -d 'Check configuration and policy; exit 64 where they cannot be used, 1 where a rule never works'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "polkit-rules" -d 'Print the polkit rule that grants what the policy needs, and nothing else'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "simulate" -d 'Make past decisions again under the policy in the files, and show what would differ'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "test" -d 'Run unit tests of the policy'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "incidents" -d 'List incidents, newest first'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "incident" -d 'Tell the story of one incident'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "status" -d 'Say how the bot is: pauses, budgets, open incidents'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "reload" -d 'Read the policy again; one with a mistake is refused and the old one stays'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "pause" -d 'Keep the bot\'s hands off, for a while'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "resume" -d 'End a pause, or declare a rule\'s past as settled'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "approve" -d 'Allow what an incident waits for'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "deny" -d 'Forbid what an incident waits for'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "explain" -d 'Say what would be decided about an alert now, and why'
complete -c alert-bot -n "__fish_alert_bot_using_subcommand help; and not __fish_seen_subcommand_from serve validate polkit-rules simulate test incidents incident status reload pause resume approve deny explain help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'

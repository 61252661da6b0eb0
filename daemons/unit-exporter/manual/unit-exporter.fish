# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_unit_exporter_global_optspecs
    string join \n h/help V/version
end

function __fish_unit_exporter_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_unit_exporter_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_unit_exporter_using_subcommand
    set -l cmd (__fish_unit_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c unit-exporter -n "__fish_unit_exporter_needs_command" -s h -l help -d 'Print help'
complete -c unit-exporter -n "__fish_unit_exporter_needs_command" -s V -l version -d 'Print version'
complete -c unit-exporter -n "__fish_unit_exporter_needs_command" -f -a "serve" -d 'Serve metrics'
complete -c unit-exporter -n "__fish_unit_exporter_needs_command" -f -a "validate" -d 'Check the configuration and exit: 0 if it can be used, 64 if not'
complete -c unit-exporter -n "__fish_unit_exporter_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c unit-exporter -n "__fish_unit_exporter_using_subcommand serve" -l config -d 'The configuration file' -r -F
complete -c unit-exporter -n "__fish_unit_exporter_using_subcommand serve" -s h -l help -d 'Print help'
complete -c unit-exporter -n "__fish_unit_exporter_using_subcommand validate" -l config -d 'The configuration file' -r -F
complete -c unit-exporter -n "__fish_unit_exporter_using_subcommand validate" -s h -l help -d 'Print help'
complete -c unit-exporter -n "__fish_unit_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve validate help" -f -a "serve" -d 'Serve metrics'
complete -c unit-exporter -n "__fish_unit_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve validate help" -f -a "validate" -d 'Check the configuration and exit: 0 if it can be used, 64 if not'
complete -c unit-exporter -n "__fish_unit_exporter_using_subcommand help; and not __fish_seen_subcommand_from serve validate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'

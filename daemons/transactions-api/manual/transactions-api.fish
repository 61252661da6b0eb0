# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_transactions_api_global_optspecs
    string join \n h/help V/version
end

function __fish_transactions_api_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_transactions_api_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_transactions_api_using_subcommand
    set -l cmd (__fish_transactions_api_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c transactions-api -n "__fish_transactions_api_needs_command" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_needs_command" -s V -l version -d 'Print version'
complete -c transactions-api -n "__fish_transactions_api_needs_command" -f -a "serve" -d 'Serve the API until SIGTERM'
complete -c transactions-api -n "__fish_transactions_api_needs_command" -f -a "faults" -d 'Break the running daemon on purpose, for a while'
complete -c transactions-api -n "__fish_transactions_api_needs_command" -f -a "backup" -d 'Copy the store beside the running daemon, check the copy, remove the oldest ones'
complete -c transactions-api -n "__fish_transactions_api_needs_command" -f -a "migrate" -d 'Move every transaction to the other engine, or none; stop the daemons first'
complete -c transactions-api -n "__fish_transactions_api_needs_command" -f -a "validate" -d 'Check the configuration: exit status 0, or 64 with the file, line and key'
complete -c transactions-api -n "__fish_transactions_api_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand serve" -l config -d 'The configuration file' -r -F
complete -c transactions-api -n "__fish_transactions_api_using_subcommand serve" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and not __fish_seen_subcommand_from set clear list help" -l socket -d 'The daemon\'s admin socket (`admin_socket` of its configuration)' -r -F
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and not __fish_seen_subcommand_from set clear list help" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and not __fish_seen_subcommand_from set clear list help" -f -a "set" -d 'Inject faults: latency=200ms jitter=100ms errors=0.3 hang memory=16MiB slow-store=50ms'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and not __fish_seen_subcommand_from set clear list help" -f -a "clear" -d 'End all faults'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and not __fish_seen_subcommand_from set clear list help" -f -a "list" -d 'Show what is active'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and not __fish_seen_subcommand_from set clear list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from set" -l for -d 'For how long; they end by themselves' -r
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from clear" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from help" -f -a "set" -d 'Inject faults: latency=200ms jitter=100ms errors=0.3 hang memory=16MiB slow-store=50ms'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from help" -f -a "clear" -d 'End all faults'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show what is active'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand faults; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand backup" -l config -d 'The configuration file' -r -F
complete -c transactions-api -n "__fish_transactions_api_using_subcommand backup" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand migrate" -l from -d 'The file that is in use, `sqlite:/var/lib/transactions/transactions.db`' -r
complete -c transactions-api -n "__fish_transactions_api_using_subcommand migrate" -l to -d 'An empty database, `postgresql://user@host/database`' -r
complete -c transactions-api -n "__fish_transactions_api_using_subcommand migrate" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand validate" -l config -d 'The configuration file' -r -F
complete -c transactions-api -n "__fish_transactions_api_using_subcommand validate" -s h -l help -d 'Print help'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and not __fish_seen_subcommand_from serve faults backup migrate validate help" -f -a "serve" -d 'Serve the API until SIGTERM'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and not __fish_seen_subcommand_from serve faults backup migrate validate help" -f -a "faults" -d 'Break the running daemon on purpose, for a while'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and not __fish_seen_subcommand_from serve faults backup migrate validate help" -f -a "backup" -d 'Copy the store beside the running daemon, check the copy, remove the oldest ones'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and not __fish_seen_subcommand_from serve faults backup migrate validate help" -f -a "migrate" -d 'Move every transaction to the other engine, or none; stop the daemons first'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and not __fish_seen_subcommand_from serve faults backup migrate validate help" -f -a "validate" -d 'Check the configuration: exit status 0, or 64 with the file, line and key'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and not __fish_seen_subcommand_from serve faults backup migrate validate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and __fish_seen_subcommand_from faults" -f -a "set" -d 'Inject faults: latency=200ms jitter=100ms errors=0.3 hang memory=16MiB slow-store=50ms'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and __fish_seen_subcommand_from faults" -f -a "clear" -d 'End all faults'
complete -c transactions-api -n "__fish_transactions_api_using_subcommand help; and __fish_seen_subcommand_from faults" -f -a "list" -d 'Show what is active'

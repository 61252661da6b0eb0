"""The host tool: a real systemd host on this machine, from nothing to deployed.

`make up` runs the steps in this order, one module each:
preflight → ports → build → tree → boot → network → deploy → health → report.
With HOSTS=3 `fleet` runs them for several hosts, which `switch` connects and
`inventory` tells apart. `teardown` undoes all of them. Standard library only, because it must run
before anything could be installed.
"""

"""Measurements beside peers, in one run on one machine: `make bench`.

Figures of one run can be compared with each other and with nothing else. A
bench deploys a host of its own and takes it away again.
"""

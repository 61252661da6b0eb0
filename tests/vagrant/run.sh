#!/bin/sh
# Runs the test of the Vagrantfile as root; see __main__.py.
set -eu

cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=.:tests
if [ "$(id -u)" = 0 ]; then
    exec python3 tests/vagrant "$@"
fi
exec sudo env "PATH=$PATH" "CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}" \
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=.:tests python3 tests/vagrant "$@"

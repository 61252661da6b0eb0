#!/bin/sh
# Hands a `make` target over to the host tool: as root, on a Python that can run it.
# The only step that is not Python, since a bare Debian has none.
set -eu

cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        kept="PATH=$PATH"
        # What sudo resets and a step needs; none of it may hold a space.
        for name in CARGO_HOME RUSTUP_HOME TERM http_proxy https_proxy no_proxy OBSERVABILITY_STACK_CACHE; do
            value=$(printenv "$name" || true)
            [ -z "$value" ] || kept="$kept $name=$value"
        done
        # shellcheck disable=SC2086
        sudo env $kept "$@"
    else
        # The tool itself says what it could not do without root.
        "$@"
    fi
}

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
if ! command -v python3 >/dev/null; then
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; }; then
        echo "python3 is missing and cannot be installed here: run as root, or install python3" >&2
        exit 1
    fi
    echo "installing python3, which runs everything else"
    as_root apt-get update -qq
    as_root apt-get install --yes -qq --no-install-recommends python3 >/dev/null
fi
if ! python3 -c "$new_enough"; then
    echo "$(command -v python3) is $(python3 --version); 3.11 or later is needed (Debian 12 and 13 have it)" >&2
    exit 1
fi

# Root's bytecode files in a user's checkout could not be removed by the user.
export PYTHONDONTWRITEBYTECODE=1
as_root env PYTHONDONTWRITEBYTECODE=1 python3 -m host "$@"

# shellcheck shell=sh disable=SC2034
# What the scripts beside this one build a virtual environment with; they read it in:
#
#   venv=.venv           the folder to build in
#   . tools/installing.sh
#   begin_venv           makes it, where there is none that works
#   install WHAT...      as `pip install` does; ends the script with a sentence where it fails
#
# uv does the work: the one on the PATH, or .venv's, or the locked one, which pip brings. It is
# told whatever index, proxy and certificates its user has set up for pip. Where uv cannot be had,
# or cannot go on, pip does it all. PYTHON=... chooses the Python; otherwise the first suitable
# one is taken.

oldest='3, 11'
newest='3, 14'  # the newest that every requirement has a wheel for
in_venv="$venv/bin/python"

stop() {
    printf '%s\n' "$1" >&2
    exit 1
}

# Starts the candidate: a name on the PATH may be a shim for a version that is not there.
is_between() {
    "$1" -c "import sys; sys.exit(not (($2) <= sys.version_info[:2] <= ($3)))" >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_between "$PYTHON" "$oldest" '99, 0' || stop "PYTHON=$PYTHON is not a Python 3.11 or newer."
        printf '%s\n' "$PYTHON"
        return
    fi
    for limit in "$newest" '99, 0'; do
        for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
            if is_between "$candidate" "$oldest" "$limit"; then
                printf '%s\n' "$candidate"
                return
            fi
        done
    done
    stop 'No Python 3.11 or newer was found: install one, or name it with PYTHON=/path/to/python3.'
}

make_venv() {
    printf 'Making %s with %s\n' "$venv" "$("$python" --version)"
    "$python" -m venv --clear --without-pip "$venv" ||
        stop "$python cannot make the virtual environment $venv (Debian, Ubuntu: install python3-venv)."
}

# The pip of the Python that the environment is made with, or else the one that Python carries along.
with_pip() {
    if [ "$python_has_pip" = yes ]; then
        "$python" -m pip --python "$in_venv" --disable-pip-version-check --no-input "$@"
    else
        "$in_venv" -m pip --version >/dev/null 2>&1 || "$in_venv" -m ensurepip >/dev/null 2>&1 ||
            stop "$python has no pip, and there is no uv: install one of them (Debian, Ubuntu: python3-venv)."
        "$in_venv" -m pip --disable-pip-version-check --no-input "$@"
    fi
}

# Prints what pip was told of a setting, in one line: the environment goes before its files, and
# there `[install]` before `[global]`.
told_pip() {
    for section in :env: install global; do
        told="$(printf '%s\n' "$pip_settings" | sed -n "s/^$section\.$1='\(.*\)'\$/\1/p")"
        if [ -n "$told" ]; then break; fi
    done
    printf '%s\n' "$told" | sed 's/\\n/ /g; s/^ *//; s/ *$//'
}

# pass_on VARIABLE setting: what its user has told uv goes before.
pass_on() {
    value="$(told_pip "$2")"
    if [ -n "$value" ] && eval "[ -z \"\${$1:-}\" ]"; then export "$1=$value"; fi
}

pass_on_pips_settings() {
    python_has_pip=yes
    pip_settings="$("$python" -m pip config list 2>/dev/null)" || python_has_pip=no
    pass_on UV_DEFAULT_INDEX index-url
    if [ -n "$(told_pip extra-index-url)" ]; then
        pass_on UV_INDEX extra-index-url
        # As pip does: the best version, whichever index has it; the hashes say what is right.
        export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
    fi
    pass_on UV_NO_INDEX no-index
    if [ -z "${UV_FIND_LINKS:-}" ] && [ -n "$(told_pip find-links)" ]; then
        UV_FIND_LINKS="$(told_pip find-links | tr -s ' ' ',')"
        export UV_FIND_LINKS
    fi
    pass_on UV_INSECURE_HOST trusted-host
    pass_on UV_HTTP_TIMEOUT timeout
    pass_on UV_HTTP_TIMEOUT default-timeout
    pass_on SSL_CERT_FILE cert
    pass_on SSL_CLIENT_CERT client-cert
    pass_on ALL_PROXY proxy
}

# Prints the first uv that starts: a name on the PATH may be a shim.
working_uv() {
    for candidate in uv .venv/bin/uv "$venv/bin/uv"; do
        if "$candidate" --version >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

install_locked_uv() {
    locked="$(mktemp)"
    sed -n '/^uv==/,$p' requirements-demo.lock | sed -n '1p; 2,${ /^ /!q; p; }' >"$locked"
    if [ -s "$locked" ]; then
        with_pip install --quiet --require-hashes --requirement "$locked" >/dev/null 2>&1 || true
    fi
    rm -f "$locked"
}

begin_venv() {
    export PIP_USER=0  # a personal default of --user has no meaning here
    python="$(find_python)" || exit 1
    is_between "$in_venv" "$oldest" '99, 0' || make_venv
    pass_on_pips_settings
    uv="$(working_uv)" || { (install_locked_uv) || true; uv="$(working_uv)" || uv=; }
}

install() {
    if [ -n "$uv" ]; then
        "$uv" pip install --quiet --python "$in_venv" "$@" && return
        echo 'uv could not install the packages (it says why above): pip tries.' >&2
        uv=
    fi
    with_pip install --quiet "$@" ||
        stop 'The packages could not be installed; pip says why above (it uses your own index settings).'
}

# Prints which installed packages miss one another; fails where any does.
check_that_all_fit() {
    if [ -n "$uv" ]; then "$uv" pip check --python "$in_venv" 2>&1; else with_pip check 2>&1; fi
}

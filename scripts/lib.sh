# Sourced by the other scripts: words, steps, and how to become root.
# shellcheck shell=bash

# Where cargo puts what it builds, as an absolute path.
target_dir() {
    local dir="${CARGO_TARGET_DIR:-target}"
    case "$dir" in
        /*) printf '%s\n' "$dir" ;;
        *) printf '%s/%s\n' "$PWD" "$dir" ;;
    esac
}

say() {
    printf '==> %s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# duration SECONDS: "58 s", "3 min 20 s".
duration() {
    if (($1 < 60)); then
        printf '%d s' "$1"
    else
        printf '%d min %d s' "$(($1 / 60))" "$(($1 % 60))"
    fi
}

# have COMMAND: it can be run, by root if not by us.
have() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

# Can a package be installed without asking anybody?
can_install_packages() {
    have apt-get && { [[ "$(id -u)" == 0 ]] || sudo -n true 2>/dev/null; }
}

as_root() {
    if [[ "$(id -u)" == 0 ]]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# install_packages NAME...: by apt-get. Fails if that can't be done.
install_packages() {
    can_install_packages || return 1
    local had_dovecot=yes
    have dovecot || had_dovecot=no
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" || return 1
    # Debian starts a mail server as soon as it is installed. We want the
    # program: tests and demo run it with a configuration and ports of theirs.
    if [[ "$had_dovecot" == no ]] && have dovecot && [[ -d /run/systemd/system ]]; then
        as_root systemctl disable --now --quiet dovecot.service dovecot.socket 2>/dev/null || true
    fi
}

#!/usr/bin/env bash
# Installs what Parley needs and this machine lacks, through its package manager:
#
#   install-deps.sh postgres   the programs of PostgreSQL 15 or later
#   install-deps.sh cc         a C compiler, for tests with the race detector
#   install-deps.sh mail       Dovecot and Postfix, for the tests of the email adapter
#   install-deps.sh prometheus   Prometheus and promtool, for the tests of alerts and dashboards
#   install-deps.sh browser    Chromium, for the tests of the pages
#   install-deps.sh axe VERSION FILE   axe-core from npm's registry, for the same
#
# Does nothing when they are there. Starts no server: Parley runs its own from the
# programs, as package store/localpg does, which looks in the same places.
set -euo pipefail

min=15

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# Only installing needs root; everything else runs as whoever calls.
as_root() {
    say "+ $*"
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "This needs root, and there is no sudo. As root, run: $*"
    fi
}

# The major version of the server programs in a folder; fails when there are none.
major_in() {
    [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
    "$1/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9][0-9]*\).*/\1/p' | grep .
}

# The folder of a new enough PostgreSQL; fails when there is none.
find_postgres() {
    local dirs dir major
    IFS=: read -r -a dirs <<<"$PATH"
    if command -v pg_config >/dev/null; then
        dirs+=("$(pg_config --bindir)")
    fi
    dirs+=(/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql*
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin
        /usr/local/pgsql*/bin /usr/local/bin)
    for dir in "${dirs[@]}"; do
        if major=$(major_in "$dir") && [ "$major" -ge "$min" ]; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    return 1
}

# What the package lists offer: the newest of names that match and are at least $min.
# Reads one name per line, for example postgresql-17.
newest() {
    sed -n 's/^postgresql\([-@]*\)\([0-9][0-9]*\)\(-server\)*$/\2 &/p' |
        sort -rn | awk -v min="$min" '$1 >= min { print $2; exit }'
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

apt_postgres() {
    # A fresh machine's or container's package lists are empty.
    as_root apt-get update -q
    local package conf=/etc/postgresql-common/createcluster.d/parley.conf
    package=$(apt-cache search --names-only '^postgresql-[0-9]+$' | cut -d' ' -f1 | newest) || true
    [ -n "$package" ] || die "This system's packages offer no PostgreSQL $min or later." \
        "Add the project's own repository: https://www.postgresql.org/download/linux/"
    # Debian's package makes a cluster and starts it as a service. It does neither when
    # told so beforehand, which is for this once: a later installation is not Parley's.
    apt_install postgresql-common
    as_root mkdir -p "${conf%/*}"
    echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
    trap 'as_root rm -f '"$conf" EXIT
    apt_install "$package"
}

# Fedora and RHEL call the default version postgresql-server and others, as the project's
# own repository does, postgresql17-server; RHEL 8 and 9 hide newer ones in module
# streams. Installing makes no cluster and starts nothing.
dnf_postgres() {
    local dnf=$1 package version stream
    package=$("$dnf" -q repoquery --qf '%{name}\n' 'postgresql*-server' 2>/dev/null | newest) || true
    if [ -z "$package" ]; then
        package=postgresql-server
        version=$("$dnf" -q repoquery --qf '%{version}\n' "$package" 2>/dev/null |
            cut -d. -f1 | sort -n | tail -n1) || true
        if [ "${version:-0}" -lt "$min" ]; then
            stream=$("$dnf" -q module list postgresql 2>/dev/null |
                awk '$1 == "postgresql" { print $2 }' | sort -n | tail -n1) || true
            [ "${stream:-0}" -ge "$min" ] || die "This system's packages offer no PostgreSQL $min or later." \
                "Add the project's own repository: https://www.postgresql.org/download/linux/"
            as_root "$dnf" -y module enable "postgresql:$stream"
        fi
    fi
    as_root "$dnf" -y install "$package"
}

apk_postgres() {
    as_root apk update
    local package
    package=$(apk search -q 'postgresql*' | sed -n 's/^\(postgresql[0-9][0-9]*\)$/\1/p' | newest) || true
    [ -n "$package" ] || die "This system's packages offer no PostgreSQL $min or later."
    as_root apk add "$package"
}

brew_postgres() {
    local package
    package=$(brew search '/^postgresql@[0-9]+$/' 2>/dev/null | newest) || true
    # Homebrew refuses to run as root, and starts no service unless asked.
    say "+ brew install ${package:=postgresql@17}"
    brew install "$package"
}

unknown_system() {
    die "No apt-get, dnf, yum, apk or brew here. Install $1 by hand${2:+: $2}"
}

postgres() {
    local dir
    if dir=$(find_postgres); then
        return 0
    fi
    say "PostgreSQL $min or later is not installed. Installing it; no service is started."
    if command -v apt-get >/dev/null; then
        apt_postgres
    elif command -v dnf >/dev/null; then
        dnf_postgres dnf
    elif command -v yum >/dev/null; then
        dnf_postgres yum
    elif command -v apk >/dev/null; then
        apk_postgres
    elif command -v brew >/dev/null; then
        brew_postgres
    else
        unknown_system "PostgreSQL $min or later" https://www.postgresql.org/download/
    fi
    dir=$(find_postgres) || die "The installation ended well, but no PostgreSQL $min or later is to be found."
    say "PostgreSQL $(major_in "$dir") is in $dir."
}

cc() {
    local compiler
    # The one go would call, without its options.
    compiler=$(go env CC 2>/dev/null) || compiler=gcc
    if command -v "${compiler%% *}" >/dev/null; then
        return 0
    fi
    say "A C compiler is not installed; tests with the race detector need one. Installing gcc."
    if command -v apt-get >/dev/null; then
        as_root apt-get update -q
        apt_install gcc libc6-dev
    elif command -v dnf >/dev/null; then
        as_root dnf -y install gcc glibc-devel
    elif command -v yum >/dev/null; then
        as_root yum -y install gcc glibc-devel
    elif command -v apk >/dev/null; then
        as_root apk add gcc musl-dev
    elif command -v xcode-select >/dev/null; then
        die "Install Apple's command line tools: xcode-select --install"
    else
        unknown_system "a C compiler"
    fi
}

# Tests start private instances on ports of their own, so that no service is wanted.
# Debian's packages start theirs unless a policy says no, which is for this once.
apt_quietly() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        trap 'as_root rm -f '"$policy" EXIT
    fi
    apt_install "$@"
}

apt_mail() {
    as_root apt-get update -q
    # Without answers the package asks what mail the machine gets: none.
    echo 'postfix postfix/main_mailer_type select No configuration' | as_root debconf-set-selections
    apt_quietly dovecot-imapd dovecot-lmtpd postfix
}

has_mail() {
    local dir postfix=
    for dir in /usr/sbin /sbin /usr/local/sbin /opt/homebrew/sbin; do
        [ ! -x "$dir/postfix" ] || postfix=yes
    done
    PATH=$PATH:/usr/sbin:/usr/local/sbin command -v dovecot >/dev/null && [ -n "$postfix" ] &&
        # LMTP is a package of its own on Debian.
        { [ ! -d /usr/lib/dovecot ] || [ -x /usr/lib/dovecot/lmtp ]; }
}

mail() {
    if has_mail; then
        return 0
    fi
    say "Dovecot and Postfix are not installed; the email adapter's tests need them. Installing them; no service is started."
    if command -v apt-get >/dev/null; then
        apt_mail
    elif command -v dnf >/dev/null; then
        as_root dnf -y install dovecot postfix
    elif command -v yum >/dev/null; then
        as_root yum -y install dovecot postfix
    elif command -v apk >/dev/null; then
        as_root apk add dovecot dovecot-lmtpd postfix
    elif command -v brew >/dev/null; then
        # macOS comes with Postfix.
        brew install dovecot
    else
        unknown_system "Dovecot and Postfix"
    fi
    has_mail || die "The installation ended well, but Dovecot or Postfix is not to be found."
}

has_prometheus() { command -v prometheus && command -v promtool; } >/dev/null

prometheus() {
    if has_prometheus; then
        return 0
    fi
    say "Prometheus is not installed; alerts and dashboards are tested with it. Installing it; no service is started."
    if command -v apt-get >/dev/null; then
        as_root apt-get update -q
        apt_quietly prometheus
    elif command -v dnf >/dev/null; then
        as_root dnf -y install prometheus
    elif command -v apk >/dev/null; then
        as_root apk add prometheus
    elif command -v brew >/dev/null; then
        brew install prometheus
    else
        unknown_system Prometheus https://prometheus.io/download/
    fi
    has_prometheus || die "The installation ended well, but prometheus or promtool is not to be found."
}

has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null

browser() {
    if has_browser; then
        return 0
    fi
    say "Chromium is not installed; the pages are tested with it. Installing it."
    if command -v apt-get >/dev/null; then
        as_root apt-get update -q
        # Its fonts, too: a page without letters tests little.
        apt_install chromium fonts-dejavu-core
    elif command -v dnf >/dev/null; then
        as_root dnf -y install chromium
    elif command -v yum >/dev/null; then
        as_root yum -y install chromium
    elif command -v apk >/dev/null; then
        as_root apk add chromium ttf-dejavu
    elif command -v brew >/dev/null; then
        brew install --cask chromium
    else
        unknown_system "Chromium"
    fi
    has_browser || die "The installation ended well, but Chromium is not to be found."
}

# The package is a tar file, which takes no Node.js to unpack. npm is asked where it
# is there, because it knows of mirrors.
axe() {
    local version=$1 file=$2 registry=https://registry.npmjs.org
    if command -v npm >/dev/null; then
        registry=$(npm config get registry)
    fi
    say "Fetching axe-core $version from ${registry%/}."
    if command -v curl >/dev/null; then
        curl -fsSL --retry 3 "${registry%/}/axe-core/-/axe-core-$version.tgz"
    elif command -v wget >/dev/null; then
        wget -qO- "${registry%/}/axe-core/-/axe-core-$version.tgz"
    else
        die "Neither curl nor wget is here. Install one of them."
    fi | tar -xzO package/axe.min.js >"$file.new"
    mv "$file.new" "$file"
}

case "${1:-postgres}" in
postgres) postgres ;;
cc) cc ;;
mail) mail ;;
browser) browser ;;
prometheus) prometheus ;;
axe) axe "$2" "$3" ;;
*) die "usage: $0 [postgres|cc|mail|browser|prometheus|axe]" ;;
esac

#!/bin/sh
# Makes sure that the programs which a make target calls are there: `scripts/test_needs.sh "$apt" check|test|bench|web`.
# $apt is 1 to apt-get what is missing, 0 not to, empty for 1 when root. What cannot be had is named and ends the target:
# a test that quietly did not run would say nothing.
set -eu

apt=${1:-}
target=${2:?check, test, bench or web}
[ -n "$apt" ] || { [ "$(id -u)" = 0 ] && apt=1 || apt=0; }

# command:Debian package
case $target in
    check) needs="node:nodejs npm:npm git:git promtool:prometheus" ;; # pyright is a node program that comes by npm
    web) needs="node:nodejs npm:npm git:git" ;;
    bench) needs="node:nodejs bash:bash bwrap:bubblewrap" ;;
    test) needs="node:nodejs npm:npm git:git bash:bash chromium:chromium bwrap:bubblewrap setpriv:util-linux curl:curl jq:jq
                 perl:perl ruby:ruby php:php-cli lua5.4:lua5.4 gcc:gcc g++:g++ esbuild:esbuild pg_createcluster:postgresql redis-server:redis-server
                 promtool:prometheus" ;;
    *) echo "sandql: scripts/test_needs.sh takes check, test, bench or web, got $target" >&2; exit 2 ;;
esac

missing() {
    for need in $needs; do
        command -v "${need%%:*}" >/dev/null 2>&1 || printf '%s ' "${need#*:}"
    done
}

packages=$(missing)
if [ -n "$packages" ] && [ "$apt" = 1 ] && command -v apt-get >/dev/null; then
    echo "sandql: installing what 'make $target' needs: $packages" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The tests start servers of their own: none that comes with a package need run beside them.
    case $packages in *postgresql*) [ -e /etc/postgresql-common/createcluster.conf ] || {
        mkdir -p /etc/postgresql-common && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    } ;; esac
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || {
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' INT TERM
    }
    apt-get -qq update
    # shellcheck disable=SC2086  # a list of packages
    apt-get -qq install --yes --no-install-recommends $packages >/dev/null
    packages=$(missing)
fi
if [ -n "$packages" ]; then
    echo "sandql: 'make $target' needs these Debian packages: $packages" >&2
    echo "sandql: install them (apt-get install $packages), or run make as root with SANDQL_TEST_APT=1" >&2
    exit 1
fi

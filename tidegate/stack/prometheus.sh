#!/usr/bin/env bash
# Prometheus and promtool, into ${TIDEGATE_CACHE:-~/.cache/tidegate}/prometheus.
#   scripts/prometheus install   no effect if both are on PATH or installed
#   scripts/prometheus build-3   builds Prometheus 3 in addition (five minutes), for the tests of both
# Debian's package is unpacked, not installed: its service would use port 9090. The files of its page are in packages of
# their own. A Prometheus that is built from source has no page: Node.js builds that.
set -euo pipefail
version=v0.316.0 # Prometheus 3.16, if there is no package
cache=${TIDEGATE_CACHE:-$HOME/.cache/tidegate}
home=$cache/prometheus

fail() { printf 'prometheus: %s\n' "$1" >&2; exit 1; }
has_both() { [ -x "$1/prometheus" ] && [ -x "$1/promtool" ]; }
# Debian's reads the files of its page, the others have them inside or not at all.
has_page() { cmp -s "$1"/web/static/popper.js/{,umd/}popper.min.js || ! grep -q -e --web.local-assets <<<"$("$1/prometheus" --help 2>&1)"; }

page_packages() {
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances prometheus | grep -E '^(libjs|fonts)-'
}

unpack_package() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    local work
    work=$(mktemp -d "$cache/prometheus.XXXXXX")
    (
        cd "$work"
        apt-get download -q prometheus >/dev/null 2>&1 ||
            { [ "$(id -u)" = 0 ] && apt-get update -q >/dev/null && apt-get download -q prometheus >/dev/null 2>&1; }
        dpkg-deb -x prometheus_*.deb .
        # shellcheck disable=SC2046 # one word a package
        if apt-get download -q $(page_packages) >/dev/null 2>&1; then
            for package in {libjs,fonts}-*.deb; do dpkg-deb -x "$package" .; done
            cp -rL usr/share/prometheus/web web
            rm -rf web/static/moment-timezone/data # 200 MB, which the page does not read
            cp web/static/popper.js/{umd/,}popper.min.js # the page loads it as a script, and it is a module
        fi
    ) && has_both "$work/usr/bin" && "$work/usr/bin/promtool" --version >/dev/null 2>&1 &&
        mkdir -p "$home" && rm -rf "$home/web" &&
        mv "$work"/usr/bin/{prometheus,promtool} "$home/" && { [ ! -d "$work/web" ] || mv "$work/web" "$home/"; }
    local status=$?
    rm -rf "$work"
    return $status
}

build() {
    local home=$1
    command -v go >/dev/null || return 1
    echo "prometheus: building it from source (five minutes or more)"
    GOBIN=$home go install "github.com/prometheus/prometheus/cmd/prometheus@$version" \
        "github.com/prometheus/prometheus/cmd/promtool@$version" >"$cache/prometheus-build.log" 2>&1
}

install() {
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then return; fi
    if has_both "$home" && has_page "$home"; then return; fi
    mkdir -p "$cache"
    unpack_package || build "$home" || fail "could not be installed: install prometheus and promtool and put them on PATH \
(tried Debian's package, then Go; see $cache/prometheus-build.log)"
    has_both "$home" || fail "$home is incomplete: remove it and try again"
}

build_3() {
    if has_both "$home-3"; then return; fi
    mkdir -p "$cache"
    build "$home-3" || fail "Prometheus 3 could not be built: it needs Go 1.25 or later (see $cache/prometheus-build.log)"
}

case ${1:-} in
install) install ;;
build-3) build_3 ;;
*) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

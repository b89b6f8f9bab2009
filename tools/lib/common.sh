# shellcheck shell=bash
# What tools/quickstart, tools/check and tools/bench share.  Sourced; expects `set -u`.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
started_at=$SECONDS

say() { printf '[%3ds] %s\n' "$((SECONDS - started_at))" "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# install_packages PURPOSE...: what is missing of tools/lib/packages; needs root and network only then.
# No service is left that was not there before: Debian would start mosquitto and make a PostgreSQL cluster.
install_packages() {
  local purpose wanted=() missing=()
  for purpose; do
    mapfile -t -O "${#wanted[@]}" wanted < <(awk -v p="$purpose" '$1 == p { print $2 }' "$top/tools/lib/packages")
  done
  local package
  for package in "${wanted[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  [ "$(id -u)" = 0 ] || die "packages are missing and only root can install them: apt-get install ${missing[*]}"
  say "installing ${#missing[@]} packages: ${missing[*]}"
  (
    export DEBIAN_FRONTEND=noninteractive
    no_cluster=/etc/postgresql-common/createcluster.d/haulgate-none.conf
    policy=/usr/sbin/policy-rc.d made_policy=no
    trap 'rm -f "$no_cluster"; [ $made_policy = yes ] && rm -f "$policy"; true' EXIT
    mkdir -p "${no_cluster%/*}" && echo 'create_main_cluster = false' >"$no_cluster"
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made_policy=yes
    fi
    apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log_dir/apt.log" 2>&1 ||
      { apt-get update -q >>"$log_dir/apt.log" 2>&1 &&
        apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log_dir/apt.log" 2>&1; }
  ) || { tail -n 15 "$log_dir/apt.log" >&2; die "apt-get could not install: ${missing[*]} (whole output: $log_dir/apt.log)"; }
}

# build NAME [MESON OPTION...]: build/NAME, made once and brought up to date.  targets: only these, if it is set.
targets=()
build() {
  local name=$1 dir=$top/build/$1
  shift
  if [ ! -f "$dir/build.ninja" ]; then
    meson setup "$dir" "$top" "$@" >"$log_dir/setup-$name.log" 2>&1 ||
      { tail -n 20 "$log_dir/setup-$name.log" >&2; die "meson could not set up build/$name"; }
  fi
  ninja -C "$dir" "${targets[@]}" >"$log_dir/build-$name.log" 2>&1 ||
    { grep -E -A8 ' error: |FAILED' "$log_dir/build-$name.log" | head -n 40 >&2; die "build/$name failed (whole output: $log_dir/build-$name.log)"; }
}

# Release: optimised over all files, asserts on.
build_release() { build release --buildtype=release -Db_lto=true -Db_ndebug=false; }

# ---- a private PostgreSQL: unix socket only, data in a temporary folder, gone at the end ----

pg_bin() {
  local bin
  bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
  [ -x "$bin/initdb" ] || die "no PostgreSQL server under /usr/lib/postgresql: apt-get install postgresql-15"
  printf '%s' "$bin"
}

# PostgreSQL refuses root; as root it runs as the user postgres.
pg_as() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
  else
    "$@"
  fi
}

# pg_create DIR [SETTING...]: initdb and start; DIR must be reachable for the user postgres.
pg_create() {
  local dir=$1 bin setting
  shift
  bin=$(pg_bin)
  [ "$(id -u)" = 0 ] && chown postgres "$dir"
  pg_as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -k >"$log_dir/initdb.log" 2>&1 ||
    { cat "$log_dir/initdb.log" >&2; die 'initdb failed'; }
  {
    printf "listen_addresses = ''\nunix_socket_directories = '%s'\nmax_connections = 60\n" "$dir"
    for setting; do printf '%s\n' "$setting"; done
  } | pg_as tee -a "$dir/data/postgresql.conf" >/dev/null
  pg_start "$dir"
}

pg_start() {
  pg_as "$(pg_bin)/pg_ctl" -D "$1/data" -w -t 60 -l "$1/data/server.log" start >"$log_dir/pg_start.log" 2>&1 ||
    { pg_as tail -n 10 "$1/data/server.log" >&2; die 'PostgreSQL did not start'; }
}

pg_stop() { # DIR [MODE]
  [ -d "$1/data" ] && pg_as "$(pg_bin)/pg_ctl" -D "$1/data" -m "${2:-fast}" -w stop >/dev/null 2>&1
}

# await SECONDS WHAT COMMAND...: until COMMAND succeeds.
await() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $limit ] || return 1
    sleep 0.1
  done
}

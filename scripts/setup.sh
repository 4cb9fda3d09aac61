#!/bin/sh
# Makes this machine ready: Meltica's packages, with their own Node 24, and a redis-server.
#
# Says nothing and is done at once when all is there, so it runs before every `npm start` and `npm test`.
# With --optional a missing redis-server is no failure here: `start` may be given an address, and says what is missing if not.
# Ends with 1 when something is missing and cannot be installed without asking.

cd "$(dirname "$0")/.." || exit 1

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
has_redis() { has redis-server || has valkey-server; }

if [ ! -x node_modules/.bin/node ]; then
  say 'Installing the packages (npm ci) ...'
  npm ci --no-audit --no-fund --loglevel=error >&2 || exit 1
fi

has_redis && exit 0

# Homebrew refuses to be run by root; the other package managers want it, or a sudo that asks for no password.
as_root=
can_install=yes
if [ "$(id -u)" != 0 ]; then
  if has sudo && sudo -n true 2>/dev/null; then as_root='sudo -n'; else can_install=no; fi
fi

install_redis() {
  if has brew && [ "$(id -u)" != 0 ]; then
    brew install --quiet redis
  elif [ "$can_install" = no ]; then
    return 1
  elif has apt-get; then
    options='-qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2'
    # An update may fail for a list that does not matter here; the installation tells.
    $as_root apt-get $options update
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get $options install -y --no-install-recommends redis-server
  elif has dnf; then
    $as_root dnf install -y -q redis || $as_root dnf install -y -q valkey
  elif has yum; then
    $as_root yum install -y -q redis || $as_root yum install -y -q valkey
  elif has apk; then
    $as_root apk add --quiet redis || $as_root apk add --quiet valkey
  elif has pacman; then
    $as_root pacman -Sy --noconfirm --needed valkey || $as_root pacman -Sy --noconfirm --needed redis
  elif has zypper; then
    $as_root zypper --non-interactive --quiet install redis
  else
    return 1
  fi
}

log=$(mktemp 2>/dev/null) || log=/dev/null
[ "$can_install" = no ] && ! has brew || say 'Installing redis-server with the package manager of this machine ...'
install_redis >"$log" 2>&1
has_redis && { rm -f "$log"; exit 0; }

[ "$1" = --optional ] && { rm -f "$log"; exit 0; }
[ -s "$log" ] && tail -n 5 "$log" >&2
[ "$log" = /dev/null ] || rm -f "$log"
say 'Expected redis-server or valkey-server on the PATH, found neither, and could not install one without asking.
Three ways to give Meltica a Redis:
  - install Redis 7.0 or newer with the package manager, for example: sudo apt-get install redis-server
  - put a redis-server or valkey-server of your own on the PATH
  - name one that is running: npm start -- --redis redis://host:6379 (the tests need one of the other two)'
exit 1

# shellcheck shell=bash
# Shared by every script in this folder: messages, where the binaries are, free ports,
# and the one rule about processes: we end only what we recorded, after checking it is still that process.

KUBE_HOME=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# Longest wait for any one condition. A loaded CI machine needs far more than the usual five seconds.
KUBE_TIMEOUT=${PORTCULLIS_KUBE_TIMEOUT:-120}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# ---- binaries -----------------------------------------------------------------------------------

# The Kubernetes version comes from go.mod alone, so that it is written down once.
kube_version() { awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' "$KUBE_HOME/go/kubernetes/go.mod"; }

# Version, platform and a digest of everything that decides what is built.
kube_key() {
  local digest
  digest=$(cd "$KUBE_HOME" && find targets go -type f -print0 | sort -z | xargs -0 cat -- | sha256sum | cut -c1-12)
  printf '%s-%s-%s\n' "$(kube_version)" "$(uname -m)" "$digest"
}

kube_cache() { printf '%s/portcullis-kube/%s\n' "${PORTCULLIS_KUBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}}" "$(kube_key)"; }

# Is NAME provided by the folder that KUBEBUILDER_ASSETS names (the envtest convention)?
from_assets() { [[ -n ${KUBEBUILDER_ASSETS:-} && -x $KUBEBUILDER_ASSETS/$1 ]]; }

# Path of a binary: KUBEBUILDER_ASSETS first, then the cache.
tool() {
  local bin
  if from_assets "$1"; then
    printf '%s\n' "$KUBEBUILDER_ASSETS/$1"
    return
  fi
  bin=$(kube_cache)/bin/$1
  [[ -x $bin ]] || die "$1 is not built yet. Run: hack/kube/build $(awk -v n="$1" '$1 == n { print $2 }' "$KUBE_HOME/targets")"
  printf '%s\n' "$bin"
}

# ---- processes ----------------------------------------------------------------------------------
# A record is one line "name pid start": the start time (in clock ticks since boot) tells a process
# from a later one that was given the same number.

# Start time of a process, or nothing when there is none. The command name in stat may hold blanks
# and brackets, so everything up to the last ")" is dropped first. A zombie counts as gone once none
# of its threads is left: until then the last of them still holds its files and its ports.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) }
  local -a field
  read -ra field <<<"$stat"
  if [[ ${field[0]} == Z || ${field[0]} == X ]]; then
    local -a threads=()
    mapfile -t threads < <(ls "/proc/$1/task" 2>/dev/null)
    ((${#threads[@]} > 1)) || return 0
  fi
  printf '%s\n' "${field[19]}"
}

is_alive() { [[ -n $2 && $(start_time "$1") == "$2" ]]; }

# Starts a daemon in a session of its own (a Ctrl-C meant for the caller is not for it), writes its
# record, and returns once it has become the program asked for.
start_daemon() {
  local dir=$1 name=$2 pid i
  shift 2
  become_daemon "$@" >>"$dir/log/$name.log" 2>&1 </dev/null &
  pid=$!
  # Else bash would report how it ended, among the messages meant for people.
  disown "$pid"
  printf '%s %s %s\n' "$name" "$pid" "$(start_time "$pid")" >"$dir/run/$name.pid" || {
    kill -KILL "$pid"
    die "$dir was taken down meanwhile"
  }
  for ((i = 0; i < 100; i++)); do
    [[ -e /proc/$pid ]] || break
    is_ours "$pid" "$dir" && break
    sleep 0.01
  done
}

# Locks and pipes of the caller must not be held open by something that outlives it.
become_daemon() {
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    ((fd <= 2)) || exec {fd}>&-
  done
  exec setsid -- "$@"
}

# Does the command line name our folder? Every daemon here is given at least one path under it.
is_ours() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2"; }

read_records() { cat "$1"/run/*.pid 2>/dev/null || true; }

# Ends the processes of the records on stdin that are still the ones recorded. The state is
# throwaway, so there is nothing to wait for politely. Never the calling process itself.
end_records() {
  local dir=$1 name pid start
  local -a ended=()
  while read -r name pid start; do
    [[ -n ${start:-} && $pid != "$$" ]] || continue
    if is_alive "$pid" "$start" && is_ours "$pid" "$dir"; then
      kill -KILL "$pid" 2>/dev/null || true
      ended+=("$pid:$start")
    fi
  done
  for name in "${ended[@]}"; do
    wait_until 10 process_gone "${name%:*}" "${name#*:}" || say "process ${name%:*} does not end"
  done
}

process_gone() { ! is_alive "$1" "$2"; }

# First recorded process that has died, if any.
dead_daemon() {
  local name pid start
  while read -r name pid start; do
    is_alive "$pid" "$start" || {
      printf '%s\n' "$name"
      return 0
    }
  done < <(read_records "$1")
  return 1
}

# Ends everything in DIR when process PARENT ends, however it ends.
start_watchdog() {
  local dir=$1 script=$2 parent=$3 start
  start=$(start_time "$parent")
  [[ -n $start ]] || die "--with-parent $parent: there is no such process"
  start_daemon "$dir" watchdog "$KUBE_HOME/watchdog" "$dir" "$script" "$parent" "$start"
}

# ---- conditions ---------------------------------------------------------------------------------

# wait_until SECONDS COMMAND…: polls the condition; false when the time is up.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

show_log() {
  say "last lines of $1/log/$2.log:"
  tail -n 25 "$1/log/$2.log" >&2 || true
}

# Waits for a condition of a cluster under DIR. When a daemon dies meanwhile, or the time is up,
# shows the log that explains it: that of the dead daemon, else that of the one named.
await() {
  local dir=$1 what=$2 log=$3 deadline=$((SECONDS + KUBE_TIMEOUT)) dead
  shift 3
  until "$@" >/dev/null 2>&1; do
    [[ -d $dir/run ]] || die "$dir was taken down meanwhile"
    if dead=$(dead_daemon "$dir"); then
      show_log "$dir" "$dead"
      die "$dead ended while waiting for $what"
    fi
    if ((SECONDS >= deadline)); then
      show_log "$dir" "$log"
      die "$what: not within ${KUBE_TIMEOUT} s (PORTCULLIS_KUBE_TIMEOUT)"
    fi
    sleep 0.1
  done
}

# ---- ports --------------------------------------------------------------------------------------

# Prints COUNT free loopback ports below the ephemeral range. Two callers at the same moment must not
# get the same ones, so a port is reserved for the calling process until that ends; by then the
# daemons hold it themselves.
free_ports() {
  local count=$1 registry="${TMPDIR:-/tmp}/portcullis-kube-ports.$UID"
  (
    flock 8
    local -A taken=()
    local port pid start kept='' found=()
    while read -r port pid start; do
      is_alive "$pid" "$start" || continue
      kept+="$port $pid $start"$'\n'
      taken[$port]=1
    done < <(cat "$registry" 2>/dev/null)
    while ((${#found[@]} < count)); do
      port=$((20000 + (RANDOM << 15 | RANDOM) % 10000))
      if [[ -n ${taken[$port]:-} ]] || port_in_use "$port"; then continue; fi
      taken[$port]=1
      found+=("$port")
      kept+="$port $$ $(start_time "$$")"$'\n'
    done
    printf '%s' "$kept" >"$registry"
    printf '%s\n' "${found[*]}"
  ) 8>"$registry.lock"
}

# Any socket with this local port, in any state, IPv4 or IPv6.
port_in_use() {
  local hex
  printf -v hex ':%04X' "$1"
  awk -v p="$hex" 'substr($2, length($2) - 4) == p { found = 1 } END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# ---- folders ------------------------------------------------------------------------------------

# Absolute path of a cluster folder, which may not exist yet.
cluster_dir() {
  [[ -n ${1:-} ]] || die "DIR is missing. Run: ${0##*/} --help"
  realpath -m -- "$1"
}

# One `up` at a time per folder: takes descriptor 9 for as long as the calling script runs.
lock_dir() {
  mkdir -p "$1"
  exec 9>"$1/lock"
  flock -n 9 || die "another up is at work in $1"
}

# ---- certificates -------------------------------------------------------------------------------

# make_ca DIR NAME
make_ca() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -sha256 \
    -subj "/CN=$2" -keyout "$1/$2.key" -out "$1/$2.crt" \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
}

# make_cert DIR CA NAME SUBJECT [SAN]: a client certificate, or a serving one when SAN is given.
make_cert() {
  local dir=$1 ca=$2 name=$3 subject=$4 san=${5:-} usage=clientAuth
  [[ -z $san ]] || usage=serverAuth
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" \
    -keyout "$dir/$name.key" -out "$dir/$name.csr" 2>/dev/null
  openssl x509 -req -in "$dir/$name.csr" -CA "$dir/$ca.crt" -CAkey "$dir/$ca.key" -CAcreateserial \
    -days 30 -sha256 -out "$dir/$name.crt" -extfile <(
      printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n' "$usage"
      [[ -z $san ]] || printf 'subjectAltName=%s\n' "$san"
    ) 2>/dev/null
  rm -f "$dir/$name.csr"
}

# make_kubeconfig PKI SERVER CERT FILE: certificates are embedded, so the file can be copied about.
make_kubeconfig() {
  local pki=$1 server=$2 cert=$3 file=$4
  (
    umask 077
    cat >"$file" <<EOF
apiVersion: v1
kind: Config
current-context: local
clusters:
- name: local
  cluster:
    server: $server
    certificate-authority-data: $(base64 -w0 <"$pki/ca.crt")
contexts:
- name: local
  context: {cluster: local, user: $cert}
users:
- name: $cert
  user:
    client-certificate-data: $(base64 -w0 <"$pki/$cert.crt")
    client-key-data: $(base64 -w0 <"$pki/$cert.key")
EOF
  )
}

# ---- images -------------------------------------------------------------------------------------

# scratch_image FILE NAME TAG BINARY COMMAND…: an archive (docker format) of the image
# localhost/NAME:TAG, which holds nothing but one static binary, at the root.
scratch_image() {
  local file=$1 name=$2 tag=$3 binary=$4 work arch=amd64 command
  shift 4
  [[ $(uname -m) != aarch64 ]] || arch=arm64
  command=$(printf '"%s",' "$@")
  work=$(mktemp -d "$file.XXXXXX")
  tar --create --file "$work/layer.tar" --directory "${binary%/*}" --owner=0 --group=0 --mtime=@0 --mode=755 "${binary##*/}"
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":[%s]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$arch" "${command%,}" "$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["localhost/%s:%s"],"Layers":["layer.tar"]}]' "$name" "$tag" >"$work/manifest.json"
  tar --create --file "$file" --directory "$work" manifest.json config.json layer.tar
  rm -rf "$work"
}

# ---- run ----------------------------------------------------------------------------------------

# run_in DIR SCRIPT COMMAND…: runs the command with KUBECONFIG set against a cluster that is up, and
# takes the cluster down whatever happens. The watchdog covers what a trap cannot (SIGKILL).
run_in() {
  local dir=$1 script=$2 child status=0
  shift 2
  # In the background, because bash runs traps only between foreground commands. A background command
  # would ignore Ctrl-C, hence --default-signal; and should this script be killed, so is the command.
  KUBECONFIG=$dir/kubeconfig setpriv --pdeathsig KILL env --default-signal=INT,QUIT -- "$@" <&0 &
  child=$!
  trap 'stop_tree "$child"; "$script" down "$dir"; exit 130' INT
  trap 'stop_tree "$child"; "$script" down "$dir"; exit 143' TERM HUP
  wait "$child" || status=$?
  trap - INT TERM HUP
  "$script" down "$dir"
  return "$status"
}

# Asks a command and its descendants to end, then makes them.
stop_tree() {
  local -a tree
  mapfile -t tree < <(descendants "$1")
  kill -TERM "${tree[@]}" 2>/dev/null || true
  wait_until 5 no_process "${tree[@]}" || kill -KILL "${tree[@]}" 2>/dev/null || true
}

descendants() {
  local child
  printf '%s\n' "$1"
  for child in $(pgrep -P "$1" || true); do descendants "$child"; done
}

no_process() {
  local pid
  for pid in "$@"; do [[ -z $(start_time "$pid") ]] || return 1; done
}

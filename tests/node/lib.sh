# shellcheck shell=bash
# Shared by tests/node.sh: results, conditions with a limit, and the things that run beside the test.
# The caller sets `scratch` and `node`, the folders of the test and of the cluster.
: "${scratch:=}" "${node:=}"

failures=0
elapsed() { printf '%3d s' "$SECONDS"; }
step() { printf '\n%s  == %s\n' "$(elapsed)" "$*"; }
note() { printf '%s        %s\n' "$(elapsed)" "$*"; }
ok() { printf '%s  ok    %s\n' "$(elapsed)" "$*"; }
bad() { printf '%s  FAIL  %s%s\n' "$(elapsed)" "$1" "${2:+: $2}"; failures=$((failures + 1)); }
stop() { bad "$@"; exit 1; }
equal() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "expected '$2', found '$3'"; fi; }
shown() { sed 's/^/          | /'; }

# contains NAME TEXT PART…
contains() {
    local name=$1 text=$2 part; shift 2
    for part in "$@"; do
        [[ $text == *"$part"* ]] || { bad "$name" "'$part' is not in: $text"; return; }
    done
    ok "$name"
}

# within SECONDS COMMAND…: polls a condition; false when the time is up.
within() {
    local deadline=$((SECONDS + $1)); shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}
# await WHAT SECONDS COMMAND…: the same as a result; what comes after needs it.
await() { local what=$1 seconds=$2; shift 2; if within "$seconds" "$@"; then ok "$what"; else stop "$what" "not within $seconds s"; fi; }

# succeeds NAME COMMAND…
succeeds() { local name=$1 text; shift; if text=$("$@" 2>&1); then ok "$name"; else bad "$name" "$text"; fi; }

# ---- Portcullis in the cluster ------------------------------------------------------------------

config() { kubectl get validatingwebhookconfiguration portcullis -o "jsonpath=$1"; }
policies() { config '{.webhooks[*].failurePolicy}'; }
closed() { [ "$(policies)" = "Fail Fail" ]; }
owners() { config '{.metadata.managedFields[*].manager}' --show-managed-fields; }
unowned() { [[ " $(owners) " != *" portcullis "* ]]; }
# Pods that are meant to answer: not those that are on their way out.
pods() {
    kubectl -n portcullis get pods -l app.kubernetes.io/component=webhook -o json | python3 -c 'import json, sys
for pod in json.load(sys.stdin)["items"]:
    if "deletionTimestamp" not in pod["metadata"]:
        print(pod["metadata"]["name"])'
}
first_pod() { local names; mapfile -t names < <(pods); echo "${names[0]}"; }
all_pods() { kubectl -n portcullis get pods -l app.kubernetes.io/component=webhook -o name | sort; }
ready_count() { kubectl -n portcullis get deployment portcullis -o 'jsonpath={.status.readyReplicas}'; }
two_ready() { [ "$(ready_count)" = 2 ] && [ "$(pods | wc -l)" = 2 ]; }
field() { kubectl -n portcullis get pod "$1" -o "jsonpath=$2"; }
# The number of the pod's process on this machine, by its program and its cgroup.
pid_of() {
    local uid process
    uid=$(field "$1" '{.metadata.uid}')
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/exe" 2>/dev/null)" = /portcullis ] || continue
        grep -q "pod$uid" "$process/cgroup" 2>/dev/null && { echo "${process#/proc/}"; return; }
    done
    return 1
}
memory_of() { awk -v key="$2:" '$1 == key { print int($2 / 1024) " MiB" }' "/proc/$1/status"; }
# When a process started, in seconds since 1970.
started_at() {
    python3 -c 'import os, sys, time
ticks = int(open(f"/proc/{sys.argv[1]}/stat").read().rsplit(")", 1)[1].split()[19])
up = float(open("/proc/uptime").read().split()[0])
print(time.time() - up + ticks / os.sysconf("SC_CLK_TCK"))' "$1"
}
# A sum over the API server's counters whose line holds all the parts.
counter() {
    kubectl get --raw /metrics | python3 -c 'import sys
print(int(sum(float(line.split()[-1]) for line in sys.stdin if line[0] != "#" and all(part in line for part in sys.argv[1:]))))' "$@"
}
failed_calls() { counter 'apiserver_admission_webhook_rejection_count' 'portcullis.dev' 'error_type="calling_webhook_error"'; }
calls() { counter 'apiserver_admission_webhook_request_total' 'houserules.portcullis.dev'; }
# ---- beside the test ----------------------------------------------------------------------------

bystander=''
# Other people's work goes on all the time: every apply must pass, whatever is done to Portcullis.
start_bystander() {
    kubectl create namespace bystander >/dev/null
    kubectl -n bystander apply -f tests/node/baseline.yaml >/dev/null
    bystand >>"$scratch/bystander.log" 2>&1 &
    bystander=$!
}
bystand() {
    local turn=0 text
    while [ ! -e "$scratch/bystander.stop" ]; do
        turn=$((turn + 1))
        if ! text=$(bystander_objects "$turn" | kubectl apply -f - 2>&1); then printf 'FAILED %s %s\n' "$(date +%T)" "$text"; fi
        printf 'turn %s\n' "$turn"
        sleep 0.3
    done
}
# The changing label in the template makes each apply one that is reviewed.
bystander_objects() {
    cat <<OBJECTS
apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: bystander}
data: {turn: "$1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker, namespace: bystander}
spec:
  replicas: 0
  revisionHistoryLimit: 1
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker, turn: "$1"}}
    spec: {containers: [{name: worker, image: "localhost/stub:1", command: [/stub, serve]}]}
OBJECTS
}
bystander_turns() { grep -c '^turn' "$scratch/bystander.log" || true; }
# Since it was asked last.
bystander_passed() {
    local failed turns
    failed=$(grep -c '^FAILED' "$scratch/bystander.log" || true) turns=$(bystander_turns)
    if [ "$failed" = 0 ] && [ "$turns" -gt 0 ]; then ok "$1: none of $turns applies by others failed"
    else bad "$1: $failed of $turns applies by others failed" "$(grep -A8 -m2 '^FAILED' "$scratch/bystander.log" | grep -v last-applied || true)"; fi
    : >"$scratch/bystander.log"
}
stop_bystander() {
    touch "$scratch/bystander.stop"
    if [ -n "$bystander" ]; then wait "$bystander" 2>/dev/null || true; fi
    bystander=''
}

# Every state of the Secret while it is watched: one line per version, with what would change in a rotation.
secret_watch=''
start_secret_watch() {
    kubectl -n portcullis get secret portcullis-tls --watch -o 'jsonpath={.data.tls\.crt} {.data.ca\.key}{"\n"}' >"$scratch/rotation" 2>/dev/null &
    secret_watch=$!
}
stop_secret_watch() {
    [ -n "$secret_watch" ] || return 0
    kill "$secret_watch" 2>/dev/null || true
    wait "$secret_watch" 2>/dev/null || true
    secret_watch=''
}
new_leaves() { echo $(($(cut -d' ' -f1 "$scratch/rotation" | sort -u | wc -l) - 1)); }
new_cas() { echo $(($(cut -d' ' -f2 "$scratch/rotation" | sort -u | wc -l) - 1)); }

load='' load_result=''
start_load() {
    load_result=$scratch/load-$1.json
    python3 tests/node/load.py "$KUBECONFIG" "$load_result" &
    load=$!
}
stop_load() {
    [ -n "$load" ] || return 0
    kill "$load" 2>/dev/null || true
    wait "$load" 2>/dev/null || true
    load=''
}
# load_report EXPRESSION: of the result, in Python.
load_report() {
    python3 -c 'import json, sys
r = json.load(open(sys.argv[1])); c = r["counts"]; t = r["troubles"]
print(eval(sys.argv[2]))' "$load_result" "$1"
}
load_summary() {
    load_report 'f"""{sum(c.values())} dry runs in {r["seconds"]} s ({r["per_second"]}/s): {c.get("passed", 0)} passed, {c.get("refused", 0)} refused, {c.get("failed", 0)} failed calls, {c.get("unreviewed", 0)} unreviewed, {c.get("other", 0)} other; slowest {r["slowest"]} s"""'
}

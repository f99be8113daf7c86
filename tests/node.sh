#!/usr/bin/env bash
# Portcullis on a real node, as its users have it: the image from the Dockerfile, installed by Helm, asked by kubectl.
#
#   tests/node.sh [PHASE…]      all phases by default; always installs first, and the last ones build on each other
#
# IMAGE_ARCHIVE   OCI archive of localhost/portcullis:test, instead of building one
# RECORD=1        writes docs/transcripts/blocked-apply.txt from what kubectl really printed
# CI=true         a machine that cannot run the test fails it, instead of skipping
#
# Everything runs in a node of its own (hack/kube) below a temporary folder, and goes with the test, however that ends.
# Phases and conditions are called by name.
# shellcheck disable=SC2317
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
# shellcheck source=SCRIPTDIR/node/lib.sh
source tests/node/lib.sh

skip() {
    echo "SKIP tests/node.sh: $*"
    if [ "${CI:-}" = true ]; then echo "CI=true: a skipped test is a failed one"; exit 1; fi
    exit 0
}
if ! findings=$(hack/kube/preflight node); then skip "$findings"; fi
command -v python3 >/dev/null || skip "python3 is not installed"
[ -n "${IMAGE_ARCHIVE:-}" ] || command -v buildah >/dev/null || skip "buildah is not installed (apt-get install buildah)"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-node.XXXXXX")
node=$scratch/node
finish() {
    local code=$?
    trap '' INT TERM HUP
    [ "$code" = 0 ] || { [ ! -e "${KUBECONFIG:-}" ] || diagnose; }
    stop_load
    stop_secret_watch
    stop_bystander
    hack/kube/node down "$node" || true
    rm -rf -- "$scratch"
    exit "$code"
}
diagnose() {
    echo "---- what the cluster looked like"
    kubectl get pods -A -o wide || true
    kubectl -n portcullis get events --sort-by=.lastTimestamp 2>/dev/null | tail -15 || true
    local log
    for log in "$node"/node/pods/portcullis_portcullis-*/portcullis/*.log; do
        [ -e "$log" ] || continue
        echo "---- ${log#"$node"/node/pods/}"
        grep -v '"target":"decision"' "$log" | tail -n 6 | cut -c32-300 || true
    done
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

image=localhost/portcullis:test
release=(portcullis charts/portcullis --namespace portcullis --create-namespace
    --set 'image.registry=localhost,image.repository=portcullis,image.tag=test,image.pullPolicy=Never')
# Certificates that come and go within a minute, so that whatever else is done to Portcullis is done while they rotate.
torture=(--set failurePolicy=Fail
    --set 'extraEnv[0].name=PORTCULLIS_CA_LIFETIME,extraEnv[1].name=PORTCULLIS_LEAF_LIFETIME,extraEnv[2].name=PORTCULLIS_CA_SETTLE'
    --set-string 'extraEnv[0].value=120,extraEnv[1].value=30,extraEnv[2].value=5')
settled=(--wait --timeout 120s)

build_image() {
    local archive=${IMAGE_ARCHIVE:-} flags='' size
    if [ -z "$archive" ]; then
        archive=$scratch/image.tar
        # The crates may all be here already; then nothing has to be reached.
        if cargo fetch --locked --offline --quiet 2>/dev/null; then flags=--offline; fi
        IMAGE=$image CARGO_FLAGS=$flags hack/image "$archive" >"$scratch/image.log" 2>&1 || { tail -n 20 "$scratch/image.log"; return 1; }
    fi
    ln -sf "$(realpath -- "$archive")" "$scratch/archive"
    size=$(stat -Lc %s "$scratch/archive")
    if ((size < 20 * 1000 * 1000)); then ok "the image is $((size / 1000)) kB, below 20 MB"; else bad "the image is below 20 MB" "$((size / 1000)) kB"; fi
}

prepare() {
    step "an image, and a node to run it on"
    case $findings in *"to be built first"*) note "building the node's binaries, once"; hack/kube/build all >/dev/null 2>&1 ;; esac
    hack/kube/node up "$node" --with-parent $$ >"$scratch/node.log" 2>&1 &
    local up=$!
    build_image || stop "the image is built" "$(tail -n 3 "$scratch/image.log")"
    wait "$up" || stop "the node starts" "$(cat "$scratch/node.log")"
    export KUBECONFIG=$node/kubeconfig
    PATH=$(hack/kube/build --bin):$PATH
    ok "node ready, $(kubectl get node node -o 'jsonpath={.status.nodeInfo.kubeletVersion}')"
    hack/kube/node load-image "$node" "$scratch/archive" >"$scratch/load-image.log" 2>&1 || stop "load the image" "$(cat "$scratch/load-image.log")"
    kubectl create namespace kept >/dev/null
    kubectl -n kept apply -f tests/node/baseline.yaml >/dev/null
    kubectl create namespace open >/dev/null
    kubectl create namespace shop >/dev/null
}

install() {
    step "helm install, while others work"
    start_bystander
    within 20 test -s "$scratch/bystander.log" || stop "the bystander works" "$(cat "$scratch/bystander.log")"
    local began=$SECONDS
    helm install "${release[@]}" "${torture[@]}" "${settled[@]}" >"$scratch/install.log" 2>&1 || stop "helm install --wait" "$(cat "$scratch/install.log")"
    ok "helm install --wait ended after $((SECONDS - began)) s"
    equal "pods are ready" 2 "$(ready_count)"
    await "a ready replica closes the configuration (Fail)" 40 closed
    await "and owns nothing in it" 20 unowned
    succeeds "helm test: the probe gets an answer" helm test portcullis -n portcullis --timeout 60s
    bystander_passed "installation"
}

facts() {
    step "facts about this run"
    local pod pid
    for pod in $(pods); do
        pid=$(pid_of "$pod") || { bad "the process of $pod"; continue; }
        note "$pod: resident $(memory_of "$pid" VmRSS), at most $(memory_of "$pid" VmHWM), $(awk '/^Threads/ { print $2 }' "/proc/$pid/status") threads"
    done
    equal "no pod was restarted" "0 0" "$(kubectl -n portcullis get pods -l app.kubernetes.io/component=webhook -o 'jsonpath={.items[*].status.containerStatuses[*].restartCount}')"
}

# A replica that cannot list what it judges by must say so and not count as ready. It is one of its own, behind no Service,
# with an account that may do everything but see policies.
readiness() {
    step "readiness only after the first lists"
    kubectl -n portcullis create serviceaccount blind >/dev/null
    kubectl -n portcullis create rolebinding blind --role=portcullis --serviceaccount=portcullis:blind >/dev/null
    kubectl get clusterrole portcullis -o json | python3 -c 'import json, sys
role = json.load(sys.stdin)
role["metadata"] = {"name": "blind"}
role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["networkpolicies"]]
print(json.dumps(role))' | kubectl apply -f - >/dev/null
    kubectl create clusterrolebinding blind --clusterrole=blind --serviceaccount=portcullis:blind >/dev/null
    kubectl -n portcullis get deployment portcullis -o json | python3 -c 'import json, sys
pod = json.load(sys.stdin)["spec"]["template"]
pod |= {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "blind", "namespace": "portcullis", "labels": {"app": "blind"}}}
pod["spec"] |= {"serviceAccountName": "blind", "topologySpreadConstraints": [], "terminationGracePeriodSeconds": 1}
print(json.dumps(pod))' | kubectl apply -f - >/dev/null
    local address=''
    has_address() { address=$(field blind '{.status.podIP}') && [ -n "$address" ]; }
    within 30 has_address || stop "the pod gets an address"
    readyz() { hack/kube/node exec "$node" -- python3 -c 'import sys, urllib.error, urllib.request
try: print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
except urllib.error.HTTPError as error: print(error.code, error.read().decode())' "http://$address:8080/readyz"; }
    forbidden() { reason=$(readyz) && [[ $reason == "503 not ready:"*networkpolicies*forbidden* ]]; }
    await "a replica that may not list policies is not ready and says why" 30 forbidden
    shown <<<"$reason" | cut -c1-300
    equal "nor is its pod" False "$(field blind '{.status.conditions[?(@.type=="Ready")].status}')"
    kubectl create clusterrolebinding blind-no-more --clusterrole=portcullis --serviceaccount=portcullis:blind >/dev/null
    succeeds "it is ready once it may" kubectl -n portcullis wait --for=condition=Ready pod/blind --timeout=90s
    kubectl delete clusterrolebinding blind blind-no-more >/dev/null
    kubectl delete clusterrole blind >/dev/null
    kubectl -n portcullis delete rolebinding/blind serviceaccount/blind pod/blind >/dev/null
}

# in_shop COMMAND: as somebody types it, in a folder with web.yaml in it; kept for the transcript.
in_shop() {
    { printf '$ %s\n' "$1"; (cd "$scratch/shop" && bash -c "$1") 2>&1; printf '\n'; } >"$scratch/last" || return_code=$?
    cat "$scratch/last" >>"$scratch/transcript"
}
shop() { return_code=0; in_shop "$1"; text=$(cat "$scratch/last"); }

blocked() {
    step "a blocked apply, its cure, and the same apply again"
    mkdir -p "$scratch/shop"
    cp tests/node/web.yaml "$scratch/shop/web.yaml"
    : >"$scratch/transcript"
    shop 'kubectl apply -f web.yaml'
    shown <<<"$text"
    contains "kubectl shows who refuses, what, why and how to pass" "$text" 'Error from server (Forbidden)' 'admission webhook "houserules.portcullis.dev" denied the request' \
        'missing-default-deny' 'shop' "kubectl apply -f - <<'EOF'" 'kind: NetworkPolicy' 'Level: enforce'
    equal "and nothing was created" "" "$(kubectl -n shop get deployments -o name)"
    # What is printed from "kubectl apply" to "EOF" is run as it stands.
    local cure
    cure=$(sed -n "/^kubectl apply -f - <<'EOF'/,/^EOF\$/p" "$scratch/last")
    shop "$cure"
    shown <<<"$text"
    equal "the cure applies as printed" 0 "$return_code"
    shop 'kubectl apply -f web.yaml'
    shown <<<"$text"
    equal "and then the same apply passes" 0 "$return_code"
    contains "the deployment is there" "$text" "deployment.apps/web created"
    succeeds "its pods run, so nothing refuses what a controller makes of it" kubectl -n shop rollout status deployment/web --timeout=60s
}

# The node's network has no enforcement, and nothing here says otherwise: policies are judged, not enforced.
enforcement() {
    local pods
    read -ra pods <<<"$(kubectl -n shop get pods -o 'jsonpath={.items[*].status.podIP}')"
    if kubectl -n shop exec deployment/web -- /stub get "http://${pods[1]}:8080/" >/dev/null 2>&1; then
        note "this node's network enforces no NetworkPolicy: under a default deny pods still reach each other. No claim is made about enforcement"
    else
        note "this node's network enforces NetworkPolicies"
    fi
    succeeds "the cured pods resolve names over UDP" kubectl -n shop exec deployment/web -- /stub resolve kubernetes.default.svc.cluster.local
    succeeds "and over TCP" kubectl -n shop exec deployment/web -- /stub resolve -tcp kubernetes.default.svc.cluster.local
}

warn_mode() {
    step "mode: warn by helm upgrade, and back"
    kubectl delete namespace shop --wait=true >/dev/null
    kubectl create namespace shop >/dev/null
    helm upgrade "${release[@]}" "${torture[@]}" "${settled[@]}" --set mode=warn >"$scratch/upgrade.log" 2>&1 || stop "helm upgrade --set mode=warn" "$(cat "$scratch/upgrade.log")"
    equal "warn mode refuses nothing, by absence neither" "Ignore Ignore" "$(policies)"
    # Old replicas still answer on connections that are open: they drain.
    await "the new mode is in force" 100 warned
    printf '%s\n\n' '$ helm upgrade portcullis charts/portcullis -n portcullis --reuse-values --set mode=warn' '# the same again, in a namespace without policies' >>"$scratch/transcript"
    shop 'kubectl apply -f web.yaml'
    shown <<<"$text"
    equal "the same apply passes" 0 "$return_code"
    contains "with warnings that say what would be denied" "$text" 'Warning: missing-default-deny' 'would be denied in enforce mode' 'deployment.apps/web created'
    kubectl -n shop delete deployment web >/dev/null
    helm upgrade "${release[@]}" "${torture[@]}" "${settled[@]}" >"$scratch/upgrade.log" 2>&1 || stop "helm upgrade back to enforce" "$(cat "$scratch/upgrade.log")"
    await "enforce is back" 100 refused
    await "and the configuration closed" 40 closed
    bystander_passed "two upgrades"
}

record() {
    [ "${RECORD:-}" = 1 ] || return 0
    mkdir -p docs/transcripts
    # The cure is there once already, in the denial.
    awk '/^\$ kubectl apply -f - <</ { print; print "(as printed above)"; inside = 1; next } inside && !/^EOF/ { next } { inside = 0; print }' \
        "$scratch/transcript" | cat -s >docs/transcripts/blocked-apply.txt
    ok "docs/transcripts/blocked-apply.txt written"
}

refused() { [[ $(kubectl apply --dry-run=server -f tests/node/web.yaml 2>&1) == *"denied the request"* ]]; }
warned() { [[ $(kubectl apply --dry-run=server -f tests/node/web.yaml 2>&1) == Warning:* ]]; }

# Everything that is planned: rolling restart, the drain after it, certificates and CAs that change.
planned() {
    step "rolling restart and certificate rotation under load"
    local failed asked old
    failed=$(failed_calls) asked=$(calls) old=$(all_pods)
    start_secret_watch
    start_load planned
    kubectl -n portcullis rollout restart deployment/portcullis >/dev/null
    succeeds "rollout restart" kubectl -n portcullis rollout status deployment/portcullis --timeout=120s
    old_gone() { [ -z "$(comm -12 <(echo "$old") <(all_pods))" ]; }
    await "the old replicas have drained and ended" 150 old_gone
    rotated() { (($(new_cas) >= 1 && $(new_leaves) >= 4)); }
    await "a new CA and new leaves came under load" 150 rotated
    stop_load
    stop_secret_watch
    note "$(load_summary)"
    note "meanwhile $(new_cas) new CA and $(new_leaves) new leaves"
    equal "every request was reviewed, none failed" "0 0 0" "$(load_report 'c.get("failed", 0), c.get("unreviewed", 0), c.get("other", 0)' | tr -d '(),')"
    equal "the API server counts no failed call" 0 "$(($(failed_calls) - failed))"
    if (($(calls) - asked >= $(load_report 'sum(c.values())'))); then ok "the API server counts at least as many reviews as there were requests"; else bad "reviews as the API server counts them" "$(($(calls) - asked))"; fi
    load_report '"\n".join(str(x) for x in t[:5])' | grep . | shown || true
    bystander_passed "restart and rotation"
}

# Everything that is not: a pod forced away, a process killed. What was under way on it is lost, and nothing else may be.
unplanned() {
    step "kills under load"
    local pod pid container seconds
    within 60 two_ready || stop "two replicas before the kills"
    start_load forced
    pod=$(first_pod)
    kubectl -n portcullis delete pod "$pod" --grace-period=0 --force >/dev/null 2>&1
    await "a replica that was forced away is replaced" 60 two_ready
    stop_load
    killed_report "forced deletion"

    pod=$(first_pod)
    container=$(field "$pod" '{.status.containerStatuses[0].containerID}')
    start_load killed
    hack/kube/node exec "$node" -- python3 tests/node/accept.py "$(field "$pod" '{.status.podIP}')" 10250 60 >"$scratch/accepted" 2>"$scratch/watching" &
    local watcher=$!
    within 10 grep -q watching "$scratch/watching" || stop "the replica accepts connections before the kill" "$(cat "$scratch/watching")"
    hack/kube/node ctr "$node" tasks kill --signal SIGKILL "${container#containerd://}" >/dev/null 2>&1
    wait "$watcher" || bad "it accepts connections again" "$(cat "$scratch/watching")"
    if pid=$(pid_of "$pod"); then
        seconds=$(python3 -c 'import sys; print(f"{float(sys.argv[1]) - float(sys.argv[2]):.2f}")' "$(cat "$scratch/accepted")" "$(started_at "$pid")")
        ok "from process start to the first TLS handshake: $seconds s"
    else bad "the process after the kill"; fi
    await "the replica is ready again" 60 two_ready
    stop_load
    killed_report "SIGKILL"
    bystander_note
}

# The API server does not repeat a review whose connection broke, so a few may fail; none may go by unreviewed.
killed_report() {
    note "$1: $(load_summary)"
    equal "$1: nothing went by unreviewed" "0 0" "$(load_report 'c.get("unreviewed", 0), c.get("other", 0)' | tr -d '(),')"
    local window
    window=$(load_report '0 if not t else round(t[-1]["at"] - t[0]["at"] + t[-1]["took"], 1)')
    if python3 -c 'import sys; sys.exit(float(sys.argv[1]) > 5)' "$window"; then ok "$1: failed calls within $window s, at most 5 s"; else bad "$1: failed calls end soon" "$window s"; fi
    load_report '"\n".join(sorted({x["text"][-220:] for x in t})[:3])' | grep . | shown || true
}
# With failurePolicy Fail a kill may hit one of the bystander's applies, by its very nature; they are counted anew from here.
bystander_note() {
    note "applies by others that a kill hit: $(grep -c '^FAILED' "$scratch/bystander.log" || true)"
    : >"$scratch/bystander.log"
}

own_rules() {
    step "our own policies under our own rules"
    local text version
    version=$(kubectl get node node -o 'jsonpath={.status.nodeInfo.kubeletVersion}')
    kubectl create namespace governed >/dev/null
    helm template gate charts/portcullis --namespace governed --kube-version "$version" -s templates/networkpolicies.yaml >"$scratch/own.yaml"
    if text=$(kubectl apply -f "$scratch/own.yaml" 2>&1); then ok "NetworkPolicies of the chart pass the gate"; else bad "NetworkPolicies of the chart pass the gate" "$text"; fi
    grep Warning <<<"$text" | shown || true
    helm template gate charts/portcullis --namespace governed --kube-version "$version" -s templates/deployment.yaml >"$scratch/own.yaml"
    if text=$(kubectl apply --dry-run=server -f "$scratch/own.yaml" 2>&1); then ok "and so does its Deployment, which they govern"; else bad "the chart's Deployment" "$text"; fi
    grep Warning <<<"$text" | shown || true
}

break_glass() {
    step "break-glass"
    local began
    refused || stop "refused before the glass is broken"
    kubectl delete validatingwebhookconfiguration portcullis >/dev/null
    began=$(date +%s%N)
    within 10 kubectl apply -f tests/node/web.yaml || stop "the apply passes" "not within 10 s"
    ok "the blocked apply passes $((($(date +%s%N) - began) / 1000000)) ms after kubectl delete validatingwebhookconfiguration portcullis"
    kubectl -n shop delete deployment web >/dev/null
    helm upgrade "${release[@]}" "${torture[@]}" "${settled[@]}" >"$scratch/upgrade.log" 2>&1 || stop "helm upgrade after break-glass" "$(cat "$scratch/upgrade.log")"
    await "helm upgrade brings the review back" 30 refused
    await "and the configuration is closed again" 40 closed
}

# uninstall HELM
uninstall() {
    "$1" uninstall portcullis -n portcullis >"$scratch/uninstall.log" 2>&1 || bad "$1 uninstall" "$(cat "$scratch/uninstall.log")"
    equal "the webhook configuration is gone" "" "$(kubectl get validatingwebhookconfigurations -o name)"
    contains "the definitions are kept" "$(kubectl get customresourcedefinitions -o name)" houserules.portcullis.dev ruleexceptions.portcullis.dev
    succeeds "applies work" kubectl apply -f tests/node/web.yaml
    kubectl -n shop delete deployment web >/dev/null
    bystander_passed "$1 uninstall"
}

helm_4() {
    step "helm 4: install, upgrade without a conflict, uninstall"
    helm4 install "${release[@]}" --set failurePolicy=Fail "${settled[@]}" >"$scratch/install.log" 2>&1 || stop "helm4 install --wait" "$(cat "$scratch/install.log")"
    await "a ready replica closes the configuration" 40 closed
    await "and owns nothing in it" 20 unowned
    helm4 upgrade "${release[@]}" --set failurePolicy=Fail --set webhook.timeoutSeconds=6 "${settled[@]}" >"$scratch/upgrade.log" 2>&1 || bad "helm4 upgrade (server-side apply)" "$(cat "$scratch/upgrade.log")"
    equal "an upgrade by server-side apply goes through" 6 "$(config '{.webhooks[0].timeoutSeconds}')"
    await "and is closed again" 40 closed
    succeeds "helm4 test" helm4 test portcullis -n portcullis --timeout 60s
    uninstall helm4
}

helm_3_gone() {
    step "helm 3: uninstall"
    uninstall helm
}

main() {
    local phase
    (($#)) || set -- facts blocked enforcement warn_mode record planned unplanned readiness own_rules break_glass helm_3_gone helm_4
    prepare
    install
    for phase in "$@"; do "$phase"; done
    step "$failures failed"
    [ "$failures" -eq 0 ]
}
main "$@"

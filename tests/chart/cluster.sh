#!/usr/bin/env bash
# What installing, upgrading, rolling back and removing the chart does to other people's requests, on a real API server.
#
#   KUBECONFIG=… HELM=… [HELM4=…] tests/chart/cluster.sh
#
# The API server needs no nodes and is best thrown away afterwards: definitions and namespaces are made in it. Nothing answers
# for Portcullis here, and that is the instrument: with failurePolicy Fail a request is refused exactly when it is sent.
set -euo pipefail
cd -- "$(dirname -- "$0")/../.."

: "${KUBECONFIG:?set it to an API server that may be written to}"
case "$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')" in
    https://127.0.0.1:* | https://localhost:* | https://172.30.*) ;;
    *) [ "${ANY_CLUSTER:-}" = yes ] || { echo "the API server is not a local one; ANY_CLUSTER=yes if it is meant" >&2; exit 2; } ;;
esac
: "${HELM:?set it to helm 3}"
failures=0
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

ok() { echo "ok    $1"; }
bad() { echo "FAIL  $1${2:+: $2}"; failures=$((failures + 1)); }
equal() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "expected '$2', found '$3'"; fi; }
config() { kubectl get validatingwebhookconfiguration portcullis -o "jsonpath=$1"; }

# sent|passes NAME COMMAND…: whether the API server calls the webhook for this request.
sent() { local name=$1 text; shift; if text=$("$@" 2>&1); then bad "$name" "not sent"; elif [[ $text == *"failed calling webhook"* ]]; then ok "$name"; else bad "$name" "$text"; fi; }
passes() { local name=$1 text; shift; if text=$("$@" 2>&1); then ok "$name"; else bad "$name" "$text"; fi; }

# As Portcullis does it: write the two fields, then give up owning them, so that no apply of Helm meets a conflict.
close() {
    kubectl patch validatingwebhookconfiguration portcullis --field-manager=portcullis --type=json -p '[
      {"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"'"$bundle"'"},
      {"op":"add","path":"/webhooks/1/clientConfig/caBundle","value":"'"$bundle"'"},
      {"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"},
      {"op":"replace","path":"/webhooks/1/failurePolicy","value":"Fail"}]' >/dev/null
    kubectl get validatingwebhookconfiguration portcullis -o json --show-managed-fields |
        python3 -c 'import json, sys
kept = [m for m in json.load(sys.stdin)["metadata"]["managedFields"] if m["manager"] != "portcullis"]
print(json.dumps([{"op": "replace", "path": "/metadata/managedFields", "value": kept}]))' >"$scratch/patch"
    kubectl patch validatingwebhookconfiguration portcullis --field-manager=portcullis --type=json --patch-file "$scratch/patch" >/dev/null
}

wait_until() { local _; for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; bad "wait for: $*"; }
# A webhook configuration reaches the request path through a watch; a request that is sent says that it has.
refusing() { [[ $(kubectl -n elsewhere create deployment seen --image=x --dry-run=server 2>&1) == *"failed calling webhook"* ]]; }
open() { kubectl -n elsewhere create deployment seen --image=x --dry-run=server; }

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$scratch/key" -out "$scratch/ca" -subj /CN=test -days 2 2>/dev/null
bundle=$(base64 -w0 <"$scratch/ca")
kubectl create namespace elsewhere >/dev/null 2>&1 || true
kubectl create namespace portcullis >/dev/null 2>&1 || true
# Service account admission would refuse pods for another reason where no controllers run.
kubectl -n elsewhere create serviceaccount default >/dev/null 2>&1 || true

rules() { kubectl get houserules -o 'jsonpath={range .items[*]}{.metadata.name}={.spec.dialect} {end}' | sed 's/^default=//; s/ $//'; }
# Every HouseRules that comes and goes, in the order in which whoever watches them learns of it.
watch_rules() {
    kubectl get houserules --watch --output-watch-events -o 'jsonpath={.type} {.object.metadata.name}{"\n"}' >"$scratch/rules" 2>/dev/null &
    rules_watcher=$!
    wait_until grep -q ADDED "$scratch/rules"
}
# rules_never_gone NAME REPLACEMENTS: how often `default` was replaced at least, so that a watch that saw nothing proves nothing.
rules_never_gone() {
    local seen
    kubectl annotate houserules default seen=all >/dev/null
    wait_until grep -q MODIFIED "$scratch/rules"
    kill "$rules_watcher"
    wait "$rules_watcher" 2>/dev/null || true
    seen=$(python3 -c 'import sys
there, gaps, replaced = set(), 0, 0
for event, name in map(str.split, sys.stdin):
    if event == "DELETED":
        there.discard(name)
        gaps += not there
        replaced += name == "default"
    else:
        there.add(name)
print(f"{gaps} gaps", "" if replaced >= int(sys.argv[1]) else f"in {replaced} replacements only")' "$2" <"$scratch/rules")
    equal "$1" "0 gaps " "$seen"
}

lifecycle() {
    local helm=$1 label=$2
    local release=(portcullis charts/portcullis -n portcullis --set failurePolicy=Fail)
    echo "== $label"
    # No pod runs here, so --wait cannot stand between the definitions and the object that needs them. Where the API server
    # does not serve them in time, what values.yaml says helps.
    "$helm" install "${release[@]}" --set houseRules.dialect=calico >/dev/null 2>"$scratch/install" || {
        grep -q 'no matches for kind "HouseRules"' "$scratch/install" || { cat "$scratch/install" >&2; return 1; }
        kubectl wait --for=condition=Established crd/houserules.portcullis.dev --timeout=60s >/dev/null
        "$helm" upgrade "${release[@]}" --set houseRules.dialect=calico >/dev/null
    }
    equal "$label: installed open, although Fail is wished" "Ignore Ignore" "$(config '{.webhooks[*].failurePolicy}')"
    equal "$label: the wish is on the object" Fail "$(config '{.metadata.annotations.portcullis\.dev/failure-policy}')"
    passes "$label: no pod is ready and unrelated applies pass" open
    equal "$label: HouseRules come with the first installation" calico "$(rules)"
    watch_rules

    close
    wait_until refusing
    "$helm" upgrade "${release[@]}" --set houseRules.dialect=cilium --set webhook.timeoutSeconds=7 >/dev/null
    equal "$label: an upgrade keeps the CA bundle" "$bundle $bundle" "$(config '{.webhooks[*].clientConfig.caBundle}')"
    equal "$label: an upgrade opens until Portcullis closes again" "Ignore Ignore" "$(config '{.webhooks[*].failurePolicy}')"
    equal "$label: an upgrade changes what it should" 7 "$(config '{.webhooks[0].timeoutSeconds}')"
    equal "$label: HouseRules follow an upgrade" cilium "$(rules)"
    if "$helm" upgrade "${release[@]}" --set houseRules.dialect=none-such >/dev/null 2>&1; then bad "$label: HouseRules that the API server refuses fail the upgrade"
    else ok "$label: HouseRules that the API server refuses fail the upgrade"; fi
    equal "$label: and those that are there stay" cilium "$(rules)"
    "$helm" upgrade "${release[@]}" --set houseRules.dialect=cilium --set webhook.timeoutSeconds=8 >/dev/null
    equal "$label: a second upgrade goes through" "cilium 8" "$(rules) $(config '{.webhooks[0].timeoutSeconds}')"

    close
    "$helm" rollback portcullis 1 -n portcullis >/dev/null
    equal "$label: a rollback keeps the CA bundle" "$bundle $bundle" "$(config '{.webhooks[*].clientConfig.caBundle}')"
    equal "$label: a rollback opens" "Ignore Ignore" "$(config '{.webhooks[*].failurePolicy}')"
    equal "$label: HouseRules go back with a rollback" calico "$(rules)"
    rules_never_gone "$label: HouseRules were there at every moment of three upgrades and a rollback" 3

    close
    wait_until refusing
    # Deletions carry the revision of the whole store, so they can be put in order afterwards.
    local watchers=() what
    for what in service validatingwebhookconfiguration; do
        kubectl -n portcullis get "$what" portcullis --watch --output-watch-events \
            -o 'jsonpath={.type} {.object.metadata.resourceVersion}{"\n"}' >"$scratch/$what" 2>/dev/null &
        watchers+=($!)
        wait_until grep -q ADDED "$scratch/$what"
    done
    "$helm" uninstall portcullis -n portcullis >/dev/null
    for what in service validatingwebhookconfiguration; do wait_until grep -q DELETED "$scratch/$what"; done
    kill "${watchers[@]}"
    wait "${watchers[@]}" 2>/dev/null || true
    deleted() { sed -n 's/^DELETED //p' "$scratch/$1" | head -1; }
    if [ "$(deleted validatingwebhookconfiguration)" -lt "$(deleted service)" ]; then ok "$label: the configuration goes before the Service"
    else bad "$label: the configuration goes before the Service"; fi
    equal "$label: the configuration is gone" "" "$(kubectl get validatingwebhookconfiguration -o name | grep portcullis || true)"
    equal "$label: definitions and HouseRules are kept" "default" "$(kubectl get houserules -o 'jsonpath={.items[*].metadata.name}')"
    kubectl delete houserules default >/dev/null
    # One after the other: of several at once the API server finishes some only at its next resync, minutes later.
    local definition
    for definition in $(kubectl get customresourcedefinition -l app.kubernetes.io/name=portcullis -o name); do
        kubectl delete "$definition" >/dev/null
    done
}

scope() {
    echo "== scope"
    local pod='{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"x"}]}}'
    local mirror='{"apiVersion":"v1","kind":"Pod","metadata":{"name":"m","annotations":{"kubernetes.io/config.mirror":"x"}},"spec":{"nodeName":"n","containers":[{"name":"c","image":"x"}]}}'
    local policy='{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"np"},"spec":{"podSelector":{},"policyTypes":["Egress"]}}'
    local in=(kubectl -n elsewhere)
    # Things that exist before anything is reviewed.
    "${in[@]}" apply -f - <<<"$pod" >/dev/null
    "${in[@]}" apply -f - <<<"$policy" >/dev/null
    "${in[@]}" create deployment d --image=x >/dev/null
    "${in[@]}" create job j --image=x >/dev/null
    "${in[@]}" create cronjob cj --image=x --schedule='0 0 * * *' >/dev/null
    "$HELM" install portcullis charts/portcullis -n portcullis >/dev/null
    close
    wait_until refusing

    sent   "create a pod" "${in[@]}" run q --image=x
    sent   "create a deployment" "${in[@]}" create deployment e --image=x
    sent   "change a pod's labels" "${in[@]}" label pod p a=c --overwrite
    sent   "change a pod's image" "${in[@]}" set image pod/p c=y
    sent   "change a deployment's template" "${in[@]}" set image deployment/d x=y
    sent   "change a deployment's own labels" "${in[@]}" label deployment d tier=web
    sent   "change a cronjob's template" "${in[@]}" set image cronjob/cj cj=y
    sent   "change a policy" "${in[@]}" patch networkpolicy np --type=merge -p '{"spec":{"policyTypes":["Ingress"]}}'
    sent   "delete a policy" "${in[@]}" delete networkpolicy np
    sent   "delete all policies" "${in[@]}" delete networkpolicy --all
    sent   "a mirror annotation by an ordinary user" "${in[@]}" create -f - <<<"$mirror"
    # Not by a node's name: NodeRestriction would ask for a Node object first.
    local node=(--dry-run=server --as=somebody --as-group=system:nodes --as-group=system:masters)
    sent   "a member of system:nodes creates an ordinary pod" "${in[@]}" create "${node[@]}" -f - <<<"${pod/\"p\"/\"by-node\"}"
    passes "a member of system:nodes creates a mirror pod" "${in[@]}" create "${node[@]}" -f - <<<"$mirror"
    passes "annotate a pod" "${in[@]}" annotate pod p note=x
    passes "scale a deployment by its subresource" "${in[@]}" scale deployment d --replicas=3
    passes "scale a deployment by its object" "${in[@]}" patch deployment d --type=merge -p '{"spec":{"replicas":2}}'
    passes "suspend a job" "${in[@]}" patch job j --type=merge -p '{"spec":{"suspend":true}}'
    passes "delete a deployment" "${in[@]}" delete deployment d
    passes "a ConfigMap" "${in[@]}" create configmap c
    passes "the namespace controller empties a namespace" \
        "${in[@]}" delete networkpolicy np --dry-run=server --as=system:serviceaccount:kube-system:namespace-controller --as-group=system:masters
    sent   "the garbage collector deletes a policy" \
        "${in[@]}" delete networkpolicy np --dry-run=server --as=system:serviceaccount:kube-system:generic-garbage-collector --as-group=system:masters
    passes "create in kube-system" kubectl -n kube-system create deployment e --image=x --dry-run=server
    passes "create in the release namespace" kubectl -n portcullis create deployment e --image=x --dry-run=server
    sent   "label a namespace" kubectl label namespace elsewhere portcullis.dev/enforce=none
    passes "annotate a namespace" kubectl annotate namespace elsewhere note=x
    passes "label kube-system" kubectl label namespace kube-system x=y
    passes "create a namespace" kubectl create namespace elsewhere-2
    kubectl label namespace elsewhere-2 kubernetes.io/metadata.name=kube-system --overwrite >/dev/null 2>&1 || true
    equal  "nobody can give a namespace the label of an excluded one" elsewhere-2 \
        "$(kubectl get namespace elsewhere-2 -o 'jsonpath={.metadata.labels.kubernetes\.io/metadata\.name}')"
    passes "break-glass" kubectl delete validatingwebhookconfiguration portcullis
    wait_until open
    "$HELM" upgrade portcullis charts/portcullis -n portcullis >/dev/null
    equal  "helm upgrade brings it back" "houserules.portcullis.dev namespaces.portcullis.dev" "$(config '{.webhooks[*].name}')"
    # As docs/operations.md says for the case that Helm is not at hand.
    sed -n '/^   kubectl patch validatingwebhookconfiguration/,/^   ```/p' docs/operations.md | sed '$d' >"$scratch/patch"
    bash -eu "$scratch/patch" >/dev/null
    equal  "the mode can be changed without Helm" "/v1/review/mode/warn/from-controllers/warn /v1/review/mode/warn/from-controllers/warn" "$(config '{.webhooks[*].clientConfig.service.path}')"
    "$HELM" upgrade portcullis charts/portcullis -n portcullis --set mode=warn >/dev/null
    equal  "a new mode is in every call once the upgrade has ended" "/v1/review/mode/warn/from-controllers/warn /v1/review/mode/warn/from-controllers/warn" "$(config '{.webhooks[*].clientConfig.service.path}')"
    "$HELM" uninstall portcullis -n portcullis >/dev/null
    kubectl delete customresourcedefinition -l app.kubernetes.io/name=portcullis >/dev/null
    kubectl delete namespace elsewhere elsewhere-2 --wait=false >/dev/null
}

notes() {
    echo "== notes"
    local slice='{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"kubernetes","labels":{"kubernetes.io/service-name":"kubernetes"}},"addressType":"IPv4","endpoints":[{"addresses":["203.0.113.8"]},{"addresses":["203.0.113.7"]}],"ports":[{"name":"https","port":6443}]}'
    local shown=("$HELM" install portcullis charts/portcullis -n portcullis)
    shows() { if grep -qF -- "$2" <<<"$3"; then ok "$1"; else bad "$1" "no '$2' in the notes"; fi; }
    # The API server writes this object itself where it has an address that pods can reach.
    if kubectl -n default get endpointslice kubernetes >/dev/null 2>&1; then
        slice=$(kubectl -n default get endpointslice kubernetes -o 'jsonpath={.endpoints[0].addresses[0]}')
        shows "the API server's address is shown" "$slice/32" "$("${shown[@]}" --dry-run=server)"
    else
        shows "without an address, how to find one" "get endpointslices -l kubernetes.io/service-name=kubernetes" "$("${shown[@]}" --dry-run=server)"
        kubectl -n default create -f - <<<"$slice" >/dev/null
        shows "the API servers' addresses are shown" "networkPolicy.apiServerCIDRs={203.0.113.7/32,203.0.113.8/32}'" "$("${shown[@]}" --dry-run=server)"
        kubectl -n default delete endpointslice kubernetes >/dev/null
    fi
}

notes
lifecycle "$HELM" "helm 3"
if [ -n "${HELM4:-}" ]; then lifecycle "$HELM4" "helm 4"; fi
scope
echo "$failures failed"
[ "$failures" -eq 0 ]

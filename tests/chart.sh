#!/usr/bin/env bash
# Renders the chart in every way it can be installed and checks what comes out. Needs no cluster.
#
#   HELM=… HELM4=… tests/chart.sh     (helm and helm4 on the PATH by default; at least one must be there)
#
# python3 with PyYAML reads the manifests (Debian: python3-yaml). tests/chart/cluster.sh goes on where this ends.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."

helms=()
for helm in "${HELM:-helm}" "${HELM4:-helm4}"; do
    if command -v "$helm" >/dev/null; then helms+=("$(command -v "$helm")"); fi
done
[ ${#helms[@]} -gt 0 ] || { echo "tests/chart.sh: no helm: set HELM (version 3) and HELM4 to their paths" >&2; exit 2; }
python3 -c 'import yaml' 2>/dev/null || { echo "tests/chart.sh: python3 with PyYAML is needed" >&2; exit 2; }

chart=charts/portcullis
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
failures=0
fail() { echo "FAIL  $*"; failures=$((failures + 1)); }

render() { local helm=$1; shift; "$helm" template portcullis "$chart" --namespace portcullis --kube-version 1.33.0 "$@"; }

# refused PART-OF-THE-MESSAGE ARGUMENT…
refused() {
    local part=$1 text; shift
    for helm in "${helms[@]}"; do
        if text=$(render "$helm" "$@" 2>&1); then fail "accepted: $*"
        elif [[ $text != *"$part"* ]]; then fail "refused without '$part': $* ($text)"
        else echo "ok    refused: $*"; fi
    done
}

for helm in "${helms[@]}"; do
    echo "== $("$helm" version --short 2>/dev/null) ($helm)"
    "$helm" lint --strict "$chart" --namespace portcullis >"$scratch/lint" 2>&1 || { cat "$scratch/lint"; fail "lint"; }
done

mkdir "$scratch/values"
# What is handed to Argo CD is rendered as it stands there.
python3 -c 'import sys, yaml; yaml.safe_dump(yaml.safe_load(open(sys.argv[1]))["spec"]["source"]["helm"]["valuesObject"], sys.stdout)' \
    deploy/examples/argocd-application.yaml >"$scratch/values/argocd.yaml"

for values in tests/chart/values/*.yaml "$scratch/values/argocd.yaml"; do
    case=$(basename "$values" .yaml)
    for i in "${!helms[@]}"; do
        if ! render "${helms[$i]}" -f "$values" >"$scratch/$case.$i" 2>"$scratch/error"; then
            fail "$case: $(cat "$scratch/error")"
            continue 2
        fi
    done
    if python3 tests/chart/check.py "$case" "$scratch/$case".*; then echo "ok    $case"; else failures=$((failures + 1)); fi
done

echo "== policies of Cilium"
# cilium COUNT ARGUMENT…
cilium() {
    local count=$1 found; shift
    for helm in "${helms[@]}"; do
        found=$(render "$helm" "$@" | grep -c '^kind: CiliumNetworkPolicy$' || true)
        if [ "$found" = "$count" ]; then echo "ok    $count: ${*:-by default}"; else fail "$found instead of $count: ${*:-by default}"; fi
    done
}
cilium 0
cilium 2 --api-versions cilium.io/v2/CiliumNetworkPolicy
cilium 0 --api-versions cilium.io/v2/CiliumNetworkPolicy --set networkPolicy.cilium=false
cilium 0 --api-versions cilium.io/v2/CiliumNetworkPolicy --set hostNetwork=true,ports.webhook=9443

echo "== values that must be refused"
refused "/networkPolicy/cilium" --set networkPolicy.cilium=yes-please
refused "/mode" --set mode=enforced
refused "/failurePolicy" --set failurePolicy=fail
refused "modes" --set modes=warn
refused "excludedNamespaces" --set 'webhook.excludedNamespaces={a}'
refused "/webhook/timeoutSeconds" --set webhook.timeoutSeconds=31
refused "/networkPolicy/apiServerCIDRs/0" --set 'networkPolicy.apiServerCIDRs={0.0.0.0/0}'
refused "/networkPolicy/apiServerCIDRs/0" --set 'networkPolicy.apiServerCIDRs={0.0.0.0/1,128.0.0.0/1}'
refused "/networkPolicy/apiServerCIDRs/0" --set 'networkPolicy.apiServerCIDRs={::/0}'
refused "/ports/webhook" --set ports.webhook=443
refused "/image/digest" --set image.digest=latest
refused "existingSecret.caBundle" --set tls.source=secret,tls.existingSecret.name=x
refused "existingSecret.name" --set tls.source=secret,tls.existingSecret.caBundle=QQ==
# A null takes a default away: what then stands there must not be an empty list of peers, which is everyone.
refused "/networkPolicy': missing property 'apiServerCIDRs'" --set networkPolicy.apiServerCIDRs=null
refused "/networkPolicy': missing property 'apiServerPorts'" --set networkPolicy.apiServerPorts=null
refused "/networkPolicy': missing property 'enabled'" --set networkPolicy.enabled=null
refused "/networkPolicy': missing property 'dns'" --set networkPolicy.dns=null
refused "/networkPolicy/dns': missing property 'podSelector'" --set networkPolicy.dns.podSelector=null
for value in networkPolicy webhook tls image ports log spread crds metrics resourceQuota serviceAccount podDisruptionBudget mode; do
    refused "missing property '$value'" --set "$value=null"
done
refused "commonLabels holds the label app.kubernetes.io/name" --set 'commonLabels.app\.kubernetes\.io/name=x'
refused "podLabels holds the label app.kubernetes.io/component" --set 'podLabels.app\.kubernetes\.io/component=x'
refused "cert-manager.io/inject-ca-from itself" --set tls.source=cert-manager,webhook.annotations.cert-manager\\.io/inject-ca-from=a/b
refused "portcullis.dev/failure-policy, which the value failurePolicy sets" --set 'webhook.annotations.portcullis\.dev/failure-policy=Fail'
refused "a ConfigMap and a Secret" --set webhook.clientCA.configMap=a,webhook.clientCA.secret=b
refused "names and testSecret need" --set 'webhook.clientCA.names={a}'
refused "/webhook/clientCA/names/0" --set 'webhook.clientCA.configMap=a,webhook.clientCA.names={a\,b}'
refused "kubelet" --set hostNetwork=true
refused "namespace of its own" --namespace default
refused "kubeVersion" --kube-version 1.29.0

echo "== deploy/install.yaml"
for helm in "${helms[@]}"; do
    HELM=$helm deploy/generate --check || fail "deploy/install.yaml with $helm"
done

[ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all passed"

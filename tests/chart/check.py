"""What must hold for every rendering of the chart, and for single ones: check.py CASE FILE…, one file for each Helm."""
import ipaddress
import sys

import yaml

case, files = sys.argv[1], sys.argv[2:]
renderings = [[d for d in yaml.safe_load_all(open(f)) if d] for f in files]
docs = renderings[0]
problems = []


def must(what, holds):
    if not holds:
        problems.append(what)


def kind(name, hook=False):
    return [d for d in docs if d["kind"] == name and ("helm.sh/hook" in d["metadata"].get("annotations", {})) == hook]


def one(name, hook=False):
    found = kind(name, hook)
    if len(found) != 1:
        sys.exit(f"FAIL  {case}: {len(found)} objects of kind {name}")
    return found[0]


def addresses(node):
    """Every CIDR anywhere in an object."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "cidr":
                yield value
            yield from addresses(value)
    elif isinstance(node, list):
        for value in node:
            yield from addresses(value)


def key(doc):
    return (doc["kind"], doc["metadata"].get("namespace", ""), doc["metadata"]["name"],
            doc["metadata"].get("annotations", {}).get("helm.sh/hook", ""))


must("every Helm renders the same", all(sorted(r, key=key) == sorted(docs, key=key) for r in renderings))
must("no object twice", len({key(d) for d in docs}) == len(docs))
for doc in docs:
    if doc["kind"] not in ("CustomResourceDefinition",):
        must(f"{key(doc)} has the labels", doc["metadata"]["labels"]["app.kubernetes.io/instance"] == "portcullis")

deployment = one("Deployment")
pod = deployment["spec"]["template"]["spec"]
container = pod["containers"][0]
args = container["args"]
must("a rolling update keeps all replicas, unless a new pod needs the ports of an old one",
     deployment["spec"]["strategy"]["rollingUpdate"] == ({"maxUnavailable": 1, "maxSurge": 0} if case == "host-network" else {"maxUnavailable": 0, "maxSurge": 1}))
drain = next(int(a.split("=")[1]) for a in args if a.startswith("--drain-timeout="))
must("grace period outlasts the drain", pod["terminationGracePeriodSeconds"] == drain + 5)
must("selector selects the template", deployment["spec"]["selector"]["matchLabels"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items())
must("Service selects the template", one("Service")["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items())
must("Service ports are named ports of the container",
     {p["targetPort"] for p in one("Service")["spec"]["ports"]} == {p["name"] for p in container["ports"]})
must("PDB lets unready pods go", one("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow")
must("no CPU limit", "cpu" not in container["resources"]["limits"])

for spec in [pod] + [d["spec"] for d in kind("Pod", hook=True)]:
    must("pod is restricted", spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault")
    for c in spec["containers"] + spec.get("initContainers", []):
        s = c["securityContext"]
        must(f"container {c['name']} is restricted",
             s["allowPrivilegeEscalation"] is False and s["capabilities"] == {"drop": ["ALL"]} and s["runAsNonRoot"] is True
             and s["runAsUser"] == 65532 and s["readOnlyRootFilesystem"] is True and s["privileged"] is False
             and s["seccompProfile"]["type"] == "RuntimeDefault")
        must(f"container {c['name']} has requests", {"cpu", "memory"} <= c["resources"]["requests"].keys())

config = one("ValidatingWebhookConfiguration")
if case == "argocd":
    must("no two objects of one kind and name, hook or not: Argo CD keeps the last of them",
         len({key(d)[:3] for d in docs}) == len(docs))
else:
    hook = one("ValidatingWebhookConfiguration", hook=True)
    must("the removal hook has the name of the configuration and is empty",
         hook["metadata"]["name"] == config["metadata"]["name"] and hook["webhooks"] == []
         and hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete")
flag = lambda name: next(a.split("=", 1)[1] for a in args if a.startswith(f"--{name}="))
path = f"/v1/review/mode/{flag('mode')}/from-controllers/{flag('from-controllers')}"
entries = {w["name"]: w for w in config["webhooks"]}
must("two entries", list(entries) == ["houserules.portcullis.dev", "namespaces.portcullis.dev"])
for name, w in entries.items():
    must(f"{name} is installed open", w["failurePolicy"] == "Ignore")
    must(f"{name} has no side effects and matches equivalents", w["sideEffects"] == "None" and w["matchPolicy"] == "Equivalent")
    must(f"{name} reaches the Service", w["clientConfig"]["service"] == {
        "name": one("Service")["metadata"]["name"], "namespace": "portcullis", "port": 443, "path": path})
    must(f"{name} has no wildcard", all("*" not in r[f] for r in w["rules"] for f in ("apiGroups", "apiVersions", "resources", "operations")))
    must(f"{name} has no caBundle of its own", ("caBundle" in w["clientConfig"]) == (case == "secret"))
main, spaces = entries["houserules.portcullis.dev"], entries["namespaces.portcullis.dev"]
excluded = next(e for e in main["namespaceSelector"]["matchExpressions"] if e["key"] == "kubernetes.io/metadata.name")
must("system namespaces and our own are excluded by selector", excluded["operator"] == "NotIn"
     and {"kube-system", "kube-node-lease", "kube-public", "portcullis"} <= set(excluded["values"]))
must("both entries exclude the same", all(f'"{n}"' in spaces["matchConditions"][0]["expression"] for n in excluded["values"]))
must("namespaces have no selector", "namespaceSelector" not in spaces)
must("only policies are reviewed on delete", all(("DELETE" in r["operations"]) == (r["apiGroups"] not in ([""], ["apps"], ["batch"], ["portcullis.dev"])) for r in main["rules"]))
role = one("ClusterRole")
watched = {(g, r) for rule in role["rules"] if "watch" in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]}
must("every policy kind that is reviewed may be followed", all(
    (g, r) in watched for rule in main["rules"] if "DELETE" in rule["operations"] for g in rule["apiGroups"] for r in rule["resources"]))
must("subresources that change labels are reviewed", ["pods/status"] in [r["resources"] for r in main["rules"] if r["operations"] == ["UPDATE"]]
     and ["pods/binding", "bindings"] in [r["resources"] for r in main["rules"] if r["operations"] == ["CREATE"]]
     and {"namespaces/status", "namespaces/finalize"} <= set(spaces["rules"][0]["resources"]))
must("templates may be followed", {("apps", "deployments"), ("apps", "replicasets"), ("batch", "cronjobs"), ("batch", "jobs"), ("", "replicationcontrollers")} <= watched)
must("the wish is known", config["metadata"]["annotations"]["portcullis.dev/failure-policy"] == ("Fail" if case == "fail" else "Ignore"))

for doc in kind("NetworkPolicy") + kind("NetworkPolicy", hook=True):
    for cidr in addresses(doc):
        net = ipaddress.ip_network(cidr)
        must(f"{doc['metadata']['name']}: {cidr} is private or one address", net.is_private or net.is_link_local or net.num_addresses == 1)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in doc["spec"].get(direction) or []:
            must(f"{doc['metadata']['name']}: every rule has peers and ports", rule.get(peers) and rule.get("ports"))
if case == "host-network":
    must("no policies that would not apply", not kind("NetworkPolicy") and pod["hostNetwork"] is True)
else:
    deny = [d for d in kind("NetworkPolicy") if d["spec"]["policyTypes"] == ["Ingress", "Egress"] and not d["spec"].get("ingress") and not d["spec"].get("egress")]
    must("one default deny", len(deny) == 1)
    must("the default deny is for every pod, if the namespace is ours", (deny[0]["spec"]["podSelector"] == {}) == (case != "everything"))
    dns = [r["ports"] for d in kind("NetworkPolicy") for r in d["spec"].get("egress") or [] if any("podSelector" in p for p in r["to"])]
    must("DNS by UDP and TCP", dns == [[{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]])

cilium = {d["metadata"]["name"]: d["spec"] for d in kind("CiliumNetworkPolicy")}
must("policies of Cilium only where they are known or asked for", len(cilium) == (2 if case == "cilium" else 0))
if cilium:
    entities, labels = ["kube-apiserver", "host", "remote-node"], deployment["spec"]["template"]["metadata"]["labels"]
    must("they select the pods", all(p["endpointSelector"]["matchLabels"].items() <= labels.items() for p in cilium.values()))
    must("API servers, on nodes or not, reach the webhook's port and no other", cilium["portcullis-webhook"]["ingress"]
         == [{"fromEntities": entities, "toPorts": [{"ports": [{"port": "10250", "protocol": "TCP"}]}]}])
    must("and are reached on theirs", cilium["portcullis-api-server"]["egress"]
         == [{"toEntities": entities, "toPorts": [{"ports": [{"port": "6443", "protocol": "TCP"}]}]}])

roles = kind("ClusterRole") + kind("Role")
rules = [r for role in roles for r in role["rules"]]
must("no wildcard in RBAC", all("*" not in r[f] for r in rules for f in ("apiGroups", "resources", "verbs")))
secrets = [r for r in rules if "secrets" in r["resources"]]
must("Secrets only in our namespace, by name", all(r["verbs"] == ["create"] or r.get("resourceNames") for r in secrets)
     and not any("secrets" in r["resources"] for d in kind("ClusterRole") for r in d["rules"]))
must("Secrets only for self-managed certificates", bool(secrets) == ("--self-managed-certs" in args))
must("webhook configurations by name", all(r["resourceNames"] == [config["metadata"]["name"]] for r in rules if "validatingwebhookconfigurations" in r["resources"]))
must("webhook configurations are read and patched, no more", all(r["verbs"] == ["get", "patch"] for r in rules if "validatingwebhookconfigurations" in r["resources"]))
must("one Lease, by name", sorted((r["verbs"], r.get("resourceNames")) for r in rules if "leases" in r["resources"])
     == [(["create"], None), (["get", "update"], ["portcullis-status"])])
configs = [(d["metadata"]["namespace"], r) for d in kind("Role") for r in d["rules"] if "configmaps" in r["resources"]]
must("one ConfigMap, by name, to read", configs == [("kube-system", {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cilium-config"], "verbs": ["get", "list", "watch"]})]
     and not any("configmaps" in r["resources"] for r in role["rules"]))
must("the account is bound", all(b["subjects"][0]["name"] == pod["serviceAccountName"] == one("ServiceAccount")["metadata"]["name"]
                                for b in kind("ClusterRoleBinding") + kind("RoleBinding")))

crds = kind("CustomResourceDefinition")
must("definitions are rendered", bool(crds) == (case != "everything"))
for crd in crds:
    must(f"{crd['metadata']['name']} stays on uninstall", crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep")

if case == "defaults":
    must("mode enforce", "--mode=enforce" in args)
    must("quota for the priority class", one("ResourceQuota")["spec"]["scopeSelector"]["matchExpressions"][0]["values"] == [pod["priorityClassName"]])
    must("image", container["image"] == "portcullis:0.1.0")
if case in ("warn", "argocd"):
    must("mode warn", "--mode=warn" in args)
if case == "fail":
    must("values arrive", main["timeoutSeconds"] == 3 and "calico-system" in excluded["values"] and main["objectSelector"]
         and main["matchConditions"][-1]["name"] == "not-flux" and "--from-controllers=enforce" in args)
if case.startswith("cert-manager"):
    leaf = next(d for d in kind("Certificate") if not d["spec"].get("isCA"))
    must("cert-manager fills in the bundle", config["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == f"portcullis/{leaf['metadata']['name']}")
    must("the pod mounts what cert-manager writes", pod["volumes"][0]["secret"]["secretName"] == leaf["spec"]["secretName"])
    must("certificate is for the Service", "portcullis.portcullis.svc" in leaf["spec"]["dnsNames"])
    issuers = {i["metadata"]["name"] for i in kind("Issuer")}
    must("issuer", leaf["spec"]["issuerRef"]["name"] in issuers or case == "cert-manager-issuer" and not issuers)
if case == "secret":
    must("the pod mounts the Secret", pod["volumes"][0]["secret"]["secretName"] == "mine" and "--cert-dir=/etc/portcullis/tls" in args)
clients = [a for a in args if a.startswith("--client-")]
if case == "callers":
    must("callers are asked for a certificate", clients
         == ["--client-ca=/etc/portcullis/client-ca/ca.pem", "--client-name=kube-apiserver", "--client-name=api.example"])
    must("the CA is mounted", {"name": "client-ca", "configMap": {"name": "apiserver-client-ca"}} in pod["volumes"]
         and [m["mountPath"] for m in container["volumeMounts"]] == ["/etc/portcullis/client-ca"])
    probe = one("Pod", hook=True)["spec"]
    must("the test pod has a certificate", probe["volumes"][0]["secret"]["secretName"] == "portcullis-test-client"
         and "--client-cert=/etc/portcullis/client/tls.crt" in probe["containers"][0]["args"])
else:
    must("callers are asked for nothing by default", not clients)
if case == "monitoring":
    must("scraped port exists", one("ServiceMonitor")["spec"]["endpoints"][0]["port"] in {p["name"] for p in one("Service")["spec"]["ports"]})
    must("every alert has a runbook", all(r["annotations"]["runbook"] and r["annotations"]["summary"] for g in one("PrometheusRule")["spec"]["groups"] for r in g["rules"]))
    must("dashboard is JSON", yaml.safe_load(one("ConfigMap")["data"]["portcullis.json"])["title"] == "Portcullis")
    must("metrics are let in", any(p["port"] == 8080 for d in kind("NetworkPolicy") for r in d["spec"].get("ingress") or [] for p in r["ports"]))
if case == "nulls":
    must("no class and no quota", not kind("ResourceQuota") and "priorityClassName" not in pod)
if case == "everything":
    must("names", deployment["metadata"]["name"] == "gate" and pod["serviceAccountName"] == "gatekeeper")
    must("image by digest", container["image"].startswith("registry.example:5000/team/portcullis@sha256:"))
    must("no quota without the class", not kind("ResourceQuota") and "priorityClassName" not in pod)
    bridge, rules = sorted(kind("HouseRules", hook=True), key=lambda d: int(d["metadata"]["annotations"]["helm.sh/hook-weight"]))
    must("HouseRules as a hook", rules["metadata"]["name"] == "default" and rules["spec"]["rules"]["open-cidr"]["level"] == "warn"
         and rules["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation")
    must("an object with the same rules stands in while HouseRules are replaced", bridge["spec"] == rules["spec"]
         and bridge["metadata"]["annotations"]["helm.sh/hook"] == rules["metadata"]["annotations"]["helm.sh/hook"]
         and bridge["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded")

for problem in problems:
    print(f"FAIL  {case}: {problem}")
sys.exit(bool(problems))

//! Objects that are made to be expensive: one part repeated until the object has a given size, for every kind that is
//! read. The attacks of the threat model, the benchmark that measures them and the test that holds their bounds use them.

use std::fmt::Write as _;

/// An object whose size is chosen.
pub struct Shape {
    /// What is repeated.
    pub name: &'static str,
    /// Group, version and kind.
    pub kind: (&'static str, &'static str, &'static str),
    /// Whether objects of the kind are in a namespace.
    pub namespaced: bool,
    prefix: &'static str,
    part: fn(usize) -> String,
    between: &'static str,
    suffix: &'static str,
}

/// Namespace of the objects.
pub const NAMESPACE: &str = "tenant";

impl Shape {
    /// The object with as many parts as fit into this many bytes.
    pub fn object(&self, bytes: usize) -> String {
        let (group, version, kind) = self.kind;
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let namespace = if self.namespaced { format!(r#","namespace":"{NAMESPACE}""#) } else { String::new() };
        let mut out = format!(r#"{{"apiVersion":"{api_version}","kind":"{kind}","metadata":{{"name":"big"{namespace}"#);
        // A prefix that begins with `!` goes on inside the metadata.
        if let Some(inside) = self.prefix.strip_prefix('!') {
            out.push_str(inside);
        } else {
            out.push_str("},");
            out.push_str(self.prefix);
        }
        let room = bytes.saturating_sub(self.suffix.len() + 1);
        let mut i = 0;
        loop {
            let part = (self.part)(i);
            if i > 0 && out.len() + part.len() + self.between.len() > room {
                break;
            }
            if i > 0 {
                out.push_str(self.between);
            }
            out.push_str(&part);
            i += 1;
        }
        out.push_str(self.suffix);
        out.push('}');
        out
    }

    /// The review of a request that creates the object.
    pub fn review(&self, bytes: usize) -> String {
        review(self.kind, self.namespaced, "CREATE", &self.object(bytes), "null")
    }
}

/// A review as an API server sends it.
pub fn review(
    (group, version, kind): (&str, &str, &str),
    namespaced: bool,
    operation: &str,
    object: &str,
    old: &str,
) -> String {
    let mut out = String::with_capacity(object.len() + old.len() + 600);
    let namespace = if namespaced { NAMESPACE } else { "" };
    let _ = write!(
        out,
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1","kind":{{"group":"{group}","version":"{version}","kind":"{kind}"}},"name":"big","namespace":"{namespace}","operation":"{operation}","userInfo":{{"username":"mallory"}},"object":{object},"oldObject":{old},"dryRun":false}}}}"#
    );
    out
}

const NP: (&str, &str, &str) = ("networking.k8s.io", "v1", "NetworkPolicy");
const CNP: (&str, &str, &str) = ("cilium.io", "v2", "CiliumNetworkPolicy");
const CALICO: (&str, &str, &str) = ("projectcalico.org", "v3", "NetworkPolicy");
const CLUSTER: (&str, &str, &str) = ("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy");
const ADMIN: (&str, &str, &str) = ("policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy");
const ASSERTION: (&str, &str, &str) = ("portcullis.dev", "v1alpha1", "ConnectivityAssertion");
const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");
const POD: (&str, &str, &str) = ("", "v1", "Pod");

fn public(i: usize) -> String {
    // Outside private ranges, and no two next to each other.
    format!("{}.{}.{}.{}", 20 + i / 4_194_304 % 80, i / 16_384 % 256, i / 64 % 256, i % 64 * 4)
}

fn v6(i: usize) -> String {
    format!("2001:db8:{:x}:{:x}::/64", i / 65_536, i % 65_536)
}

/// Every shape.
#[rustfmt::skip]
pub fn shapes() -> Vec<Shape> {
    fn of(
        name: &'static str, kind: (&'static str, &'static str, &'static str),
        prefix: &'static str, part: fn(usize) -> String, between: &'static str, suffix: &'static str,
    ) -> Shape {
        let namespaced = !matches!(kind.2, "Namespace" | "ClusterNetworkPolicy" | "AdminNetworkPolicy" | "Tier"
            | "GlobalNetworkSet" | "GlobalNetworkPolicy" | "CiliumCIDRGroup" | "CiliumClusterwideNetworkPolicy");
        Shape { name, kind, namespaced, prefix, part, between, suffix }
    }
    const SUBJECT: &str = r#""spec":{"policyTypes":["Ingress","Egress"],"podSelector":{"matchExpressions":["#;
    const LABELS: &str = r#""spec":{"policyTypes":["Ingress","Egress"],"podSelector":{"matchLabels":{"#;
    const INGRESS: &str = r#""spec":{"podSelector":{},"policyTypes":["Ingress"],"ingress":["#;
    const EGRESS: &str = r#""spec":{"podSelector":{},"policyTypes":["Egress"],"egress":["#;
    const FROM: &str = r#""spec":{"podSelector":{},"policyTypes":["Ingress"],"ingress":[{"from":["#;
    const TO: &str = r#""spec":{"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":["#;
    const PORTS: &str = r#""spec":{"podSelector":{},"policyTypes":["Egress"],"egress":[{"ports":["#;
    vec![
        // The attacks of the report.
        of("A1 subject, keys In", NP, SUBJECT, |i| format!(r#"{{"key":"k{i}","operator":"In","values":["v"]}}"#), ",", "]}}"),
        of("A1 subject, matchLabels", NP, LABELS, |i| format!(r#""k{i}":"v""#), ",", "}}}"),
        of("A1 endpointSelector, matchLabels", CNP, r#""spec":{"ingress":[{}],"endpointSelector":{"matchLabels":{"#, |i| format!(r#""k{i}":"v""#), ",", "}}}"),
        of("A2 subject, keys NotIn", NP, SUBJECT, |i| format!(r#"{{"key":"k{i}","operator":"NotIn","values":["v"]}}"#), ",", "]}}"),
        of("A3 empty egress rules", NP, EGRESS, |_| "{}".into(), ",", "]}"),
        of("A4 rules from every pod", NP, INGRESS, |_| r#"{"from":[{"podSelector":{}}]}"#.into(), ",", "]}"),
        of("A4 ports of one rule", NP, PORTS, |i| format!(r#"{{"port":{}}}"#, i * 2 % 65_000 + 1), ",", "]}]}"),
        of("A14 unknown fields", NP, r#""spec":{"podSelector":{},"#, |i| format!(r#""f{i}":1"#), ",", "}"),
        of("A14 excepts of one block", NP, r#""spec":{"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["#, |i| format!(r#""{}/32""#, public(i)), ",", "]}}]}]}"),
        // Subjects.
        of("subject, keys Exists", NP, SUBJECT, |i| format!(r#"{{"key":"k{i}","operator":"Exists"}}"#), ",", "]}}"),
        of("subject, keys DoesNotExist", NP, SUBJECT, |i| format!(r#"{{"key":"k{i}","operator":"DoesNotExist"}}"#), ",", "]}}"),
        of("subject, one key In", NP, r#""spec":{"podSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["#, |i| format!(r#""v{i}""#), ",", "]}]}}"),
        of("subject, one key NotIn", NP, r#""spec":{"podSelector":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["#, |i| format!(r#""v{i}""#), ",", "]}]}}"),
        of("subject, one key In again and again", NP, SUBJECT, |i| format!(r#"{{"key":"app","operator":"In","values":["v{i}","w"]}}"#), ",", "]}}"),
        of("subject, one key NotIn again and again", NP, SUBJECT, |i| format!(r#"{{"key":"app","operator":"NotIn","values":["v{i}"]}}"#), ",", "]}}"),
        of("subject, unknown operators", NP, SUBJECT, |i| format!(r#"{{"key":"k{i}","operator":"Near"}}"#), ",", "]}}"),
        of("policyTypes", NP, r#""spec":{"podSelector":{},"policyTypes":["#, |_| r#""Ingress""#.into(), ",", "]}"),
        of("policyTypes that do not exist", NP, r#""spec":{"podSelector":{},"policyTypes":["#, |i| format!(r#""T{i}""#), ",", "]}"),
        // Rules and peers.
        of("egress rules, a port each", NP, EGRESS, |i| format!(r#"{{"ports":[{{"port":{}}}]}}"#, i * 2 % 65_000 + 1), ",", "]}"),
        of("egress rules, block and port each", NP, EGRESS, |i| format!(r#"{{"to":[{{"ipBlock":{{"cidr":"{}/32"}}}}],"ports":[{{"port":{}}}]}}"#, public(i), i * 2 % 65_000 + 1), ",", "]}"),
        of("egress rules, port range each", NP, EGRESS, |i| format!(r#"{{"to":[{{"ipBlock":{{"cidr":"{}/32"}}}}],"ports":[{{"port":{},"endPort":65535}}]}}"#, public(i), i % 65_000 + 1), ",", "]}"),
        of("blocks of one rule", NP, TO, |i| format!(r#"{{"ipBlock":{{"cidr":"{}/32"}}}}"#, public(i)), ",", "]}]}"),
        of("IPv6 blocks of one rule", NP, TO, |i| format!(r#"{{"ipBlock":{{"cidr":"{}"}}}}"#, v6(i)), ",", "]}]}"),
        of("world but one address, many times", NP, TO, |i| format!(r#"{{"ipBlock":{{"cidr":"0.0.0.0/0","except":["{}/32"]}}}}"#, public(i)), ",", "]}]}"),
        of("blocks that are no CIDR", NP, TO, |i| format!(r#"{{"ipBlock":{{"cidr":"host-{i}"}}}}"#), ",", "]}]}"),
        of("excepts outside their block", NP, r#""spec":{"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"ipBlock":{"cidr":"203.0.113.0/24","except":["#, |i| format!(r#""{}/32""#, public(i)), ",", "]}}]}]}"),
        of("peers by pod label", NP, FROM, |i| format!(r#"{{"podSelector":{{"matchLabels":{{"app":"a{i}"}}}}}}"#), ",", "]}]}"),
        of("peers by namespace label", NP, FROM, |i| format!(r#"{{"namespaceSelector":{{"matchLabels":{{"team":"t{i}"}}}}}}"#), ",", "]}]}"),
        of("peers by namespace name, nearly", NP, FROM, |i| format!(r#"{{"namespaceSelector":{{"matchLabels":{{"kubernetes.io/metadata.name":"tenan{i}"}}}}}}"#), ",", "]}]}"),
        of("peers, every namespace but one", NP, FROM, |i| format!(r#"{{"namespaceSelector":{{"matchExpressions":[{{"key":"k","operator":"NotIn","values":["v{i}"]}}]}}}}"#), ",", "]}]}"),
        of("one peer, many keys", NP, r#""spec":{"podSelector":{},"policyTypes":["Ingress"],"ingress":[{"from":[{"podSelector":{"matchExpressions":["#, |i| format!(r#"{{"key":"k{i}","operator":"NotIn","values":["v"]}}"#), ",", "]}}]}]}"),
        of("peers that are null", NP, FROM, |_| "null".into(), ",", "]}]}"),
        of("peers without a field", NP, FROM, |_| "{}".into(), ",", "]}]}"),
        of("peers with an unknown field", NP, FROM, |i| format!(r#"{{"podSelectors":{{"a":"{i}"}}}}"#), ",", "]}]}"),
        of("named ports", NP, PORTS, |i| format!(r#"{{"port":"p{i}"}}"#), ",", "]}]}"),
        of("named ports of rules", NP, INGRESS, |i| format!(r#"{{"ports":[{{"port":"p{i}"}}]}}"#), ",", "]}"),
        of("ports out of range", NP, PORTS, |i| format!(r#"{{"port":{}}}"#, 70_000 + i), ",", "]}]}"),
        // Around the spec.
        of("labels of a policy", NP, r#"!,"labels":{"#, |i| format!(r#""k{i}":"v""#), ",", r#"},"z":0},"spec":{"podSelector":{}}"#),
        of("one annotation", NP, r#"!,"annotations":{"a":""#, |_| "x".repeat(64), "", r#""}},"spec":{"podSelector":{}}"#),
        of("a long name", NP, r#"!,"generateName":""#, |_| "n".repeat(64), "", r#""},"spec":{"podSelector":{}}"#),
        of("a long label value", NP, r#""spec":{"podSelector":{"matchLabels":{"app":""#, |_| "x".repeat(64), "", r#""}}}"#),
        of("brackets in an unknown field", NP, r#""spec":{"podSelector":{},"x":"#, |i| if i == 0 { "[".repeat(60) } else { String::new() }, " ", "1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"),
        of("owner references", NP, r#"!,"ownerReferences":["#, |i| format!(r#"{{"kind":"A","name":"n{i}"}}"#), ",", r#"]},"spec":{"podSelector":{}}"#),
        // Cilium.
        of("Cilium specs", CNP, r#""specs":["#, |i| format!(r#"{{"endpointSelector":{{"matchLabels":{{"a":"{i}"}}}},"ingress":[{{}}]}}"#), ",", "]"),
        of("Cilium egress rules", CNP, r#""spec":{"endpointSelector":{},"egress":["#, |i| format!(r#"{{"toCIDR":["{}/32"]}}"#, public(i)), ",", "]}"),
        of("Cilium toCIDRSet with excepts", CNP, r#""spec":{"endpointSelector":{},"egress":[{"toCIDRSet":["#, |i| format!(r#"{{"cidr":"0.0.0.0/0","except":["{}/32"]}}"#, public(i)), ",", "]}]}"),
        of("Cilium entities", CNP, r#""spec":{"endpointSelector":{},"egress":[{"toEntities":["#, |_| r#""world""#.into(), ",", "]}]}"),
        of("Cilium names", CNP, r#""spec":{"endpointSelector":{},"egress":[{"toFQDNs":["#, |i| format!(r#"{{"matchPattern":"*.d{i}.example"}}"#), ",", "]}]}"),
        of("Cilium HTTP rules", CNP, r#""spec":{"endpointSelector":{},"ingress":[{"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}],"rules":{"http":["#, |i| format!(r#"{{"path":"/p{i}"}}"#), ",", "]}}]}]}"),
        of("Cilium ports", CNP, r#""spec":{"endpointSelector":{},"ingress":[{"toPorts":[{"ports":["#, |i| format!(r#"{{"port":"{}","protocol":"TCP"}}"#, i * 2 % 65_000 + 1), ",", "]}]}]}"),
        of("Cilium denials", CNP, r#""spec":{"endpointSelector":{},"ingressDeny":["#, |i| format!(r#"{{"fromEndpoints":[{{"matchLabels":{{"a":"{i}"}}}}]}}"#), ",", "]}"),
        of("Cilium Services", CNP, r#""spec":{"endpointSelector":{},"egress":[{"toServices":["#, |i| format!(r#"{{"k8sService":{{"serviceName":"s{i}","namespace":"x"}}}}"#), ",", "]}]}"),
        of("Cilium fromRequires", CNP, r#""spec":{"endpointSelector":{},"ingress":[{"fromRequires":["#, |i| format!(r#"{{"matchLabels":{{"a":"{i}"}}}}"#), ",", "]}]}"),
        // Calico.
        of("Calico selector, alternatives", CALICO, r#""spec":{"types":["Ingress"],"selector":""#, |i| format!("a == 'v{i}'"), " || ", r#""}"#),
        of("Calico selector, keys not equal", CALICO, r#""spec":{"types":["Ingress"],"selector":""#, |i| format!("k{i} != 'v'"), " && ", r#""}"#),
        of("Calico selector, keys and alternatives", CALICO, r#""spec":{"types":["Ingress"],"selector":""#, |i| format!("(k{i} == 'v' || k{} == 'w')", i + 1), " && ", r#""}"#),
        of("Calico selector, parts of values", CALICO, r#""spec":{"types":["Ingress"],"selector":""#, |i| format!("k{i} contains 'v' || k{i} starts with 'w'"), " || ", r#""}"#),
        of("Calico selector, one set", CALICO, r#""spec":{"types":["Ingress"],"selector":"a in {"#, |i| format!("'v{i}'"), ",", r#"}"}"#),
        of("Calico selector, brackets", CALICO, r#""spec":{"types":["Ingress"],"selector":""#, |_| "(".into(), "", r#"a == 'b'"}"#),
        of("Calico selector, negations", CALICO, r#""spec":{"types":["Ingress"],"selector":""#, |_| "!".into(), "", r#"has(a)"}"#),
        of("Calico rules", CALICO, r#""spec":{"types":["Egress"],"egress":["#, |i| format!(r#"{{"action":"{}","destination":{{"nets":["{}/32"]}}}}"#, ["Allow", "Deny", "Pass"][i % 3], public(i)), ",", "]}"),
        of("Calico rules by selector", CALICO, r#""spec":{"types":["Ingress"],"ingress":["#, |i| format!(r#"{{"action":"Allow","source":{{"selector":"a == '{i}'"}}}}"#), ",", "]}"),
        of("Calico nets", CALICO, r#""spec":{"types":["Egress"],"egress":[{"action":"Allow","destination":{"nets":["#, |i| format!(r#""{}/32""#, public(i)), ",", "]}}]}"),
        of("Calico notNets", CALICO, r#""spec":{"types":["Egress"],"egress":[{"action":"Allow","destination":{"notNets":["#, |i| format!(r#""{}/32""#, public(i)), ",", "]}}]}"),
        of("Calico ports", CALICO, r#""spec":{"types":["Egress"],"egress":[{"action":"Allow","protocol":"TCP","destination":{"ports":["#, |i| format!(r#""{0}:{0}""#, i * 2 % 65_000 + 1), ",", "]}}]}"),
        of("Calico notPorts", CALICO, r#""spec":{"types":["Egress"],"egress":[{"action":"Allow","protocol":"TCP","destination":{"notPorts":["#, |i| format!("{}", i * 2 % 65_000 + 1), ",", "]}}]}"),
        of("Calico global, rules by set", ("projectcalico.org", "v3", "GlobalNetworkPolicy"), r#""spec":{"types":["Egress"],"egress":["#, |i| format!(r#"{{"action":"Deny","destination":{{"selector":"feed == 'f{i}'"}}}}"#), ",", "]}"),
        of("Calico network set", ("projectcalico.org", "v3", "GlobalNetworkSet"), r#""spec":{"nets":["#, |i| format!(r#""{}/32""#, public(i)), ",", "]}"),
        of("Calico network set, labels", ("projectcalico.org", "v3", "NetworkSet"), r#"!,"labels":{"#, |i| format!(r#""k{i}":"v""#), ",", r#"}},"spec":{"nets":["203.0.113.1/32"]}"#),
        of("Calico tier, unknown fields", ("projectcalico.org", "v3", "Tier"), r#""spec":{"order":5,"#, |i| format!(r#""f{i}":1"#), ",", "}"),
        of("Cilium CIDR group", ("cilium.io", "v2", "CiliumCIDRGroup"), r#""spec":{"externalCIDRs":["#, |i| format!(r#""{}/32""#, public(i)), ",", "]}"),
        // Administrators' policies.
        of("ClusterNetworkPolicy rules", CLUSTER, r#""spec":{"tier":"Admin","priority":5,"subject":{"namespaces":{}},"ingress":["#, |i| format!(r#"{{"action":"Deny","from":[{{"namespaces":{{"matchLabels":{{"a":"{i}"}}}}}}]}}"#), ",", "]}"),
        of("ClusterNetworkPolicy networks", CLUSTER, r#""spec":{"tier":"Admin","priority":5,"subject":{"namespaces":{}},"egress":[{"action":"Deny","to":[{"networks":["#, |i| format!(r#""{}/32""#, public(i)), ",", "]}]}]}"),
        of("ClusterNetworkPolicy names", CLUSTER, r#""spec":{"tier":"Admin","priority":5,"subject":{"namespaces":{}},"egress":[{"action":"Accept","to":[{"domainNames":["#, |i| format!(r#""d{i}.example""#), ",", "]}]}]}"),
        of("AdminNetworkPolicy rules", ADMIN, r#""spec":{"priority":5,"subject":{"namespaces":{}},"egress":["#, |i| format!(r#"{{"action":"Pass","to":[{{"networks":["{}/32"]}}]}}"#, public(i)), ",", "]}"),
        // What is stated.
        of("assertion, ports", ASSERTION, r#""spec":{"expect":"Allow","from":{"podSelector":{}},"to":{"podSelector":{}},"ports":["#, |i| format!(r#"{{"port":{}}}"#, i % 65_000 + 1), ",", "]}"),
        of("assertion, keys", ASSERTION, r#""spec":{"expect":"Deny","to":{"podSelector":{}},"from":{"podSelector":{"matchExpressions":["#, |i| format!(r#"{{"key":"k{i}","operator":"NotIn","values":["v"]}}"#), ",", "]}}}"),
        of("assertion, unknown fields", ASSERTION, r#""spec":{"expect":"Deny","#, |i| format!(r#""f{i}":1"#), ",", "}"),
        // Workloads and namespaces.
        of("containers", DEPLOYMENT, r#""spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":["#, |i| format!(r#"{{"name":"c{i}","ports":[{{"name":"p{i}","containerPort":{}}}]}}"#, i % 65_000 + 1), ",", "]}}}"),
        of("container ports", POD, r#""spec":{"containers":[{"name":"c","ports":["#, |i| format!(r#"{{"name":"p{i}","containerPort":{}}}"#, i % 65_000 + 1), ",", "]}]}"),
        of("environment", POD, r#""spec":{"containers":[{"name":"c","env":["#, |i| format!(r#"{{"name":"E{i}","value":"v"}}"#), ",", "]}]}"),
        of("labels of a pod", POD, r#"!,"labels":{"#, |i| format!(r#""k{i}":"v""#), ",", r#"}},"spec":{"containers":[]}"#),
        of("name servers", POD, r#""spec":{"containers":[],"dnsPolicy":"None","dnsConfig":{"nameservers":["#, |i| format!(r#""{}""#, public(i)), ",", "]}}"),
        of("addresses of a pod", POD, r#""spec":{"containers":[]},"status":{"podIPs":["#, |i| format!(r#"{{"ip":"{}"}}"#, public(i)), ",", "]}"),
        of("labels of a template", ("batch", "v1", "CronJob"), r#""spec":{"jobTemplate":{"spec":{"template":{"metadata":{"labels":{"#, |i| format!(r#""k{i}":"v""#), ",", r#"}},"spec":{"containers":[]}}}}}"#),
        of("conditions of a job", ("batch", "v1", "Job"), r#""spec":{"template":{"spec":{"containers":[]}}},"status":{"conditions":["#, |i| format!(r#"{{"type":"T{i}","status":"True"}}"#), ",", "]}"),
        of("labels of a namespace", ("", "v1", "Namespace"), r#"!,"labels":{"#, |i| format!(r#""k{i}":"v""#), ",", r#"}},"spec":{}"#),
    ]
}

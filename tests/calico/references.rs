//! What policies refer to outside of policies: service accounts by name and by label, and Services. Where they are known the
//! verdict is exact, and where not it depends.

use portcullis::model::Direction;
use portcullis::model::house::Dialect;
use portcullis::reach::{DefaultDeny, Verdict, default_deny};

use crate::world::{Cluster, global, policy, tier};

use Verdict::{Allow, Deny, Depends};

const ACCOUNTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: web-robot, namespace: shop, labels: {role: front}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: db-robot, namespace: shop, labels: {role: back}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: dev}
";

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop, labels: {team: data}}
spec:
  selector: {app: db}
  ports: [{name: sql, port: 3306, targetPort: sql}, {name: admin, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: dev}
spec: {selector: {app: web}, ports: [{port: 80, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: by-hand, namespace: shop}
spec: {ports: [{port: 80}]}
";

fn from_all(cluster: &Cluster, to: &str) -> [Verdict; 4] {
    ["web", "db", "devweb", "stranger"].map(|from| cluster.tcp(from, to, 80))
}

#[test]
fn service_accounts_are_named_exactly() {
    // semantics 2.4.6, 2.4.7: a pod that names no account has that of its namespace, called default.
    let from = |source: &str| {
        let spec = format!("selector: app == 'db'\ningress:\n- {{action: Allow, source: {source}}}");
        from_all(&Cluster::with(&global("p", &spec)), "db")
    };
    assert_eq!(from("{serviceAccounts: {names: [web-robot]}}"), [Allow, Deny, Deny, Deny]);
    assert_eq!(from("{serviceAccounts: {names: [default]}}"), [Deny, Deny, Allow, Allow]);
    assert_eq!(from("{serviceAccounts: {names: [web]}}"), [Deny; 4], "no prefix of a name");
    assert_eq!(from("{selector: projectcalico.org/serviceaccount starts with 'web'}"), [Allow, Deny, Deny, Deny]);
    assert_eq!(from("{selector: pcsa.projectcalico.org/name == 'web-robot'}"), [Allow, Deny, Deny, Deny]);
    assert_eq!(from("{serviceAccounts: {selector: projectcalico.org/name == 'db-robot'}}"), [Deny, Allow, Deny, Deny]);
}

#[test]
fn labels_of_service_accounts_decide_where_the_accounts_are_known() {
    // semantics 2.4.9
    let from = |source: &str| {
        let spec = format!("selector: app == 'db'\ningress:\n- {{action: Allow, source: {source}}}");
        from_all(&Cluster::knowing(ACCOUNTS, &global("p", &spec)), "db")
    };
    // Of the last one the account is not known.
    assert_eq!(from("{serviceAccounts: {selector: role == 'front'}}"), [Allow, Deny, Deny, Depends]);
    assert_eq!(from("{serviceAccounts: {selector: role != 'front'}}"), [Deny, Allow, Allow, Depends]);
    assert_eq!(from("{selector: has(pcsa.role)}"), [Allow, Allow, Deny, Depends]);
    assert_eq!(from("{selector: \"!has(pcsa.role)\"}"), [Deny, Deny, Allow, Depends]);
    assert_eq!(from("{selector: pcsa.role == 'front' || app == 'other'}"), [Allow, Deny, Deny, Allow]);
    assert_eq!(from("{selector: pcsa.role == 'front' && app == 'db'}"), [Deny; 4]);
    assert_eq!(from("{notSelector: pcsa.role == 'front'}"), [Deny, Allow, Allow, Depends]);
    let unknown = global(
        "p",
        "selector: app == 'db'\ningress:\n- {action: Allow, source: {serviceAccounts: {selector: role == 'front'}}}",
    );
    assert_eq!(from_all(&Cluster::with(&unknown), "db"), [Depends; 4]);
}

#[test]
fn a_deny_by_the_labels_of_accounts_that_are_known_is_certain() {
    // semantics 2.4.9
    let spec = "selector: app == 'db'\ningress:\n- {action: Deny, source: {serviceAccounts: {selector: role == 'front'}}}\n- {action: Allow}";
    let cluster = Cluster::knowing(ACCOUNTS, &global("p", spec));
    assert_eq!(from_all(&cluster, "db"), [Deny, Allow, Allow, Depends]);
}

#[test]
fn a_policy_for_accounts_by_label_is_for_those_that_are_known() {
    // semantics 2.4.6: ANDed with the selector.
    let spec = "serviceAccountSelector: role == 'back'\nselector: all()\ntypes: [Ingress]\ningress:\n- {action: Allow, source: {selector: app == 'web'}}";
    let cluster = Cluster::knowing(ACCOUNTS, &global("p", spec));
    assert_eq!(from_all(&cluster, "db"), [Allow, Deny, Allow, Deny]);
    assert_eq!(from_all(&cluster, "web"), [Allow; 4], "an account with another label");
    assert_eq!(from_all(&cluster, "devweb"), [Allow; 4], "an account without the label");
    assert_eq!(from_all(&cluster, "stranger"), [Depends; 4], "an account that is not known");
    let shop = cluster.0.namespace_or_empty("shop");
    let deny = default_deny(&cluster.0, &shop, Direction::Ingress, Dialect::Calico);
    assert!(matches!(deny, DefaultDeny::Missing(_)), "pods to come may have any account");
}

#[test]
fn an_exact_policy_in_a_tier_that_goes_on_leaves_no_doubt_behind() {
    let text = [
        tier("soft", 1.0, "Pass"),
        global(
            "soft.p",
            "tier: soft\nserviceAccountSelector: role == 'back'\ntypes: [Ingress]\ningress:\n- {action: Deny, protocol: UDP}",
        ),
    ];
    let cluster = Cluster::knowing(ACCOUNTS, &text.concat());
    assert_eq!((cluster.tcp("web", "db", 80), cluster.udp("web", "db", 80)), (Allow, Deny));
    assert_eq!((cluster.tcp("web", "stranger", 80), cluster.udp("web", "stranger", 80)), (Depends, Depends));
}

#[test]
fn a_service_is_its_pods_on_the_ports_it_leads_to() {
    // semantics 2.4.11
    let egress = |rule: &str| {
        let spec = format!("selector: app == 'web'\negress:\n- {rule}");
        Cluster::knowing(SERVICES, &policy("p", &spec))
    };
    let by_name = egress("{action: Allow, destination: {services: {name: db}}}");
    let open = [5432, 8080, 3306, 80].map(|port| by_name.tcp("web", "db", port));
    assert_eq!(open, [Allow, Allow, Deny, Deny], "the ports of the pods, not those of the Service");
    assert_eq!((by_name.udp("web", "db", 8080), by_name.tcp("web", "stranger", 8080)), (Deny, Deny));
    assert_eq!(by_name.tcp("web", "198.51.100.7", 8080), Deny);
    let elsewhere = egress("{action: Allow, destination: {services: {name: web, namespace: dev}}}");
    assert_eq!((elsewhere.udp("web", "devweb", 80), elsewhere.tcp("web", "devweb", 80)), (Allow, Deny));
    assert_eq!(elsewhere.udp("web", "web", 80), Deny, "pods of the Service's namespace");
    let denied = egress("{action: Deny, destination: {services: {name: db}}}\n- {action: Allow}");
    assert_eq!((denied.tcp("web", "db", 8080), denied.tcp("web", "db", 80)), (Deny, Allow));
}

#[test]
fn a_service_as_a_source_is_its_pods_from_any_port() {
    // semantics 2.4.11
    let spec = "selector: app == 'db'\ningress:\n- {action: Allow, protocol: TCP, source: {services: {name: web, namespace: dev}}, destination: {ports: [5432]}}";
    let cluster = Cluster::knowing(SERVICES, &policy("p", spec));
    assert_eq!(cluster.tcp("devweb", "db", 5432), Allow);
    assert_eq!((cluster.tcp("web", "db", 5432), cluster.tcp("devweb", "db", 80)), (Deny, Deny));
}

#[test]
fn a_service_whose_endpoints_are_not_known_never_settles_anything() {
    // semantics 2.4.11
    for name in ["gone", "by-hand"] {
        let spec = |action: &str| {
            format!(
                "selector: app == 'web'\negress:\n- {{action: {action}, destination: {{services: {{name: {name}}}}}}}\n- {{action: Allow, destination: {{nets: [10.0.0.0/16]}}}}"
            )
        };
        let allow = Cluster::knowing(SERVICES, &policy("p", &spec("Allow")));
        let deny = Cluster::knowing(SERVICES, &policy("p", &spec("Deny")));
        assert_eq!((allow.tcp("web", "db", 80), allow.tcp("web", "stranger", 80)), (Allow, Allow), "{name}");
        assert_eq!(allow.tcp("web", "198.51.100.7", 80), Depends, "{name}: an endpoint may be outside");
        assert_eq!((deny.tcp("web", "db", 80), deny.tcp("web", "stranger", 80)), (Depends, Allow), "{name}");
        assert_eq!(deny.tcp("web", "198.51.100.7", 80), Deny, "{name}");
    }
}

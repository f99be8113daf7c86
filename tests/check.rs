//! What machines read of `portcullis check`: the real binary over a folder with one clean file, one that is refused and one that warns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
";
const OPEN: &str = "# a comment, so that the line is not the first
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: \"a, b::c\", namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - from: [{ipBlock: {cidr: 0.0.0.0/0}}]
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    write("web app.yaml", WEB);
    write("open.yaml", OPEN);
    folder
}

fn check(folder: &Path, format: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let out = command.current_dir(folder).args(["check", "-o", format, "."]).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn findings(folder: &Path) -> Vec<Value> {
    let json: Value = serde_json::from_str(&check(folder, "json")).unwrap();
    json["findings"].as_array().unwrap().clone()
}

#[test]
fn sarif_has_every_finding_with_its_rule_and_place() {
    let folder = folder();
    let expected = findings(folder.path());
    let log: Value = serde_json::from_str(&check(folder.path(), "sarif")).unwrap();
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert!(expected.len() > 2);
    assert_eq!(results.len(), expected.len());
    for (result, finding) in results.iter().zip(&expected) {
        assert_eq!(result["ruleId"], finding["rule"]);
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], finding["rule"]);
        let level = match finding["level"].as_str().unwrap() {
            "enforce" => "error",
            "warn" => "warning",
            _ => "note",
        };
        assert_eq!(result["level"], level);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["region"]["startLine"], finding["line"]);
        assert!(!place["artifactLocation"]["uri"].as_str().unwrap().contains(' '));
        assert!(result["message"]["text"].as_str().unwrap().starts_with(finding["message"].as_str().unwrap()));
    }
    let open = results.iter().find(|r| r["ruleId"] == "open-cidr").unwrap();
    assert_eq!(open["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "open.yaml");
    assert_eq!(open["locations"][0]["physicalLocation"]["region"]["startLine"], 9);
}

#[test]
fn junit_fails_what_would_be_refused_and_passes_clean_files() {
    let folder = folder();
    let expected = findings(folder.path());
    let refused = expected.iter().filter(|f| f["level"] == "enforce").count();
    let text = check(folder.path(), "junit");
    let mut reader = Reader::from_str(&text);
    let (mut failures, mut cases, mut suites) = (0, Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(e) | Event::Empty(e) => {
                let name = e.try_get_attribute("name").unwrap().map(|a| a.value.into_owned());
                match e.name().as_ref() {
                    "failure" => failures += 1,
                    "testcase" => cases.push(name.unwrap()),
                    "testsuite" => suites.push(name.unwrap()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    assert_eq!(failures, refused);
    assert_eq!(cases.len(), expected.len() + 1, "one for each finding, and one for the clean file: {cases:?}");
    assert_eq!(suites.len(), 3, "{suites:?}");
    assert!(cases.contains(&"house rules".to_owned()));
    assert!(cases.contains(&"open-cidr: NetworkPolicy shop/a, b::c".to_owned()), "{cases:?}");
}

#[test]
fn github_commands_are_one_line_each() {
    let folder = folder();
    let expected = findings(folder.path());
    let text = check(folder.path(), "github");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), expected.len() + 1, "{text}");
    let open = lines.iter().find(|line| line.contains("title=open-cidr")).unwrap();
    assert!(open.starts_with("::error file=open.yaml,line=9,col="), "{open}");
    assert!(lines.last().unwrap().starts_with("3 objects checked: "), "{text}");
}

/// What `check` says about a CiliumNetworkPolicy and the pods of its namespace under these arguments.
fn rules_found(folder: &Path, args: &[&str]) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let out = command.current_dir(folder).args(["check", "-o", "json", "."]).args(args).output().unwrap();
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut rules: Vec<String> =
        json["findings"].as_array().unwrap().iter().map(|f| f["rule"].as_str().unwrap().to_owned()).collect();
    rules.sort();
    rules.dedup();
    rules
}

#[test]
fn cilium_may_enforce_always_or_never() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("web.yaml", WEB);
    let missing = "missing-default-deny".to_owned();
    assert!(rules_found(folder.path(), &[]).contains(&missing));
    assert!(!rules_found(folder.path(), &["--cilium-enforcement", "always"]).contains(&missing));
    write(
        "policy.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n",
    );
    assert!(!rules_found(folder.path(), &[]).contains(&missing));
    write(
        "config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {enable-policy: never}\n",
    );
    let found = rules_found(folder.path(), &[]);
    assert!(found.contains(&missing) && found.contains(&"unenforced".to_owned()), "{found:?}");
    let found = rules_found(folder.path(), &["--cilium-enforcement", "default"]);
    assert!(!found.contains(&missing) && !found.contains(&"unenforced".to_owned()), "{found:?}");
}

/// The finding of a rule.
fn told(folder: &Path, rule: &str) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let out = command.current_dir(folder).args(["check", "-o", "json", "."]).output().unwrap();
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    let found = json["findings"].as_array().unwrap().iter().find(|finding| finding["rule"] == rule)?;
    Some(format!("{} {}", found["message"].as_str().unwrap(), found["because"]))
}

#[test]
fn what_enforces_is_known_by_agents_else_by_nodes_else_by_definitions() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let told = || told(folder.path(), "unenforced");
    write(
        "policy.yaml",
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: deny, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{}]}\n",
    );
    write(
        "definition.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a}\nspec: {group: crd.projectcalico.org}\n",
    );
    assert_eq!(told(), None, "a definition may be left over");
    let node = |reason: &str| {
        let status = format!("{{conditions: [{{type: NetworkUnavailable, status: \"False\", reason: {reason}}}]}}");
        write("node.yaml", &format!("apiVersion: v1\nkind: Node\nmetadata: {{name: a}}\nstatus: {status}\n"));
    };
    node("FlannelIsUp");
    assert_eq!(told(), None, "something else may enforce, as in k3s");
    node("CalicoIsUp");
    let by_node = told().unwrap();
    assert!(
        by_node.contains("seen here: Calico, by the condition NetworkUnavailable (CalicoIsUp) of node a"),
        "{by_node}"
    );
    write(
        "agent.yaml",
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: cilium, namespace: kube-system}\nspec:\n  selector: {matchLabels: {k8s-app: cilium}}\n  template: {metadata: {labels: {k8s-app: cilium}}, spec: {containers: [{name: a, image: a}]}}\n",
    );
    assert_eq!(told(), None);
    write(
        "config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {enable-cilium-network-policy: \"false\"}\n",
    );
    let off = told().unwrap();
    assert!(off.contains("Cilium's enable-cilium-network-policy is false; set it to true"), "{off}");
    assert!(off.contains("ConfigMap kube-system/cilium-config says so"), "{off}");
}

#[test]
fn services_and_accounts_among_the_files_are_what_policies_refer_to() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("web.yaml", WEB);
    write(
        "policy.yaml",
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: out, namespace: shop}\nspec:\n  types: [Egress]\n  egress: [{action: Allow, destination: {services: {name: wbe}}}]\n",
    );
    let dangling = "dangling-reference".to_owned();
    assert!(!rules_found(folder.path(), &[]).contains(&dangling), "no Service was read: nothing is known of any");
    write(
        "service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n",
    );
    assert!(rules_found(folder.path(), &[]).contains(&dangling));
    let text = check(folder.path(), "json");
    assert!(text.contains("there is a Service web: did you mean that?"), "{text}");
}

fn exception(namespace: &str, rules: &str, expires: &str) -> String {
    format!(
        "apiVersion: portcullis.dev/v1alpha1
kind: RuleException
metadata: {{name: legacy, namespace: {namespace}}}
spec:
  rules: [{rules}]
  targets: {{namespaces: [shop]}}
  reason: moves to another cluster
  expires: \"{expires}\"
"
    )
}

#[test]
fn exceptions_among_the_files_count_as_in_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
    let run = |exception: &str, args: &[&str]| {
        std::fs::write(folder.path().join("exception.yaml"), exception).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let out = command.current_dir(folder.path()).args(["check", "."]).args(args).output().unwrap();
        let out_text = String::from_utf8(out.stdout).unwrap();
        (out.status.code(), out_text, String::from_utf8(out.stderr).unwrap())
    };
    let (rule, end) = ("missing-default-deny", "2999-01-31T18:00:00Z");
    let (code, out, err) = run(&exception("portcullis", rule, end), &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(!out.contains("skipped"), "{out}");
    // Elsewhere it counts only where that is said.
    let elsewhere = exception("platform", rule, end);
    assert_eq!(run(&elsewhere, &["--config-namespace", "platform"]).0, Some(0));
    let (code, _, err) = run(&elsewhere, &[]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains(
            "exception.yaml:1:1: RuleException platform/legacy does not count: exceptions count in the namespace portcullis only"
        ),
        "{err}"
    );
    let (code, _, err) = run(&exception("portcullis", rule, "2025-01-31T18:00:00Z"), &[]);
    assert_eq!(code, Some(1));
    assert!(err.contains("RuleException portcullis/legacy does not count: its time is over"), "{err}");
    let (code, _, err) = run(&exception("portcullis", "missing-default-denny", end), &[]);
    assert_eq!(code, Some(2));
    assert!(err.contains("exception.yaml:5:11: RuleException portcullis/legacy at spec.rules[0]: "), "{err}");
}

#[test]
fn a_slip_in_house_rules_is_told_with_its_line_by_check_and_review() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let rules = path(
        "rules.yaml",
        "apiVersion: portcullis.dev/v1alpha1\nkind: HouseRules\nmetadata: {name: default}\nspec:\n  rules:\n    open-cidr: {level: deny}\n",
    );
    let review = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/admission/create-networkpolicy.json");
    let told = format!("{rules}:6:24: HouseRules default at spec.rules.open-cidr.level: ");
    for (first, args) in [("error", vec!["check", &rules]), ("warning", vec!["review", review, "--manifests", &rules])]
    {
        let out = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(args).output().unwrap();
        let err = String::from_utf8(out.stderr).unwrap();
        assert!(err.starts_with(&format!("{first}: {told}")), "{err}");
    }
}

#[test]
fn a_kind_that_is_misspelt_or_of_an_old_group_is_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let policy = OPEN.replace("NetworkPolicy", "NetworkPolcy");
    std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
    std::fs::write(folder.path().join("web.yaml"), WEB.replace("apps/v1", "extensions/v1beta1")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let out = command.current_dir(folder.path()).args(["check", "-o", "json", "."]).output().unwrap();
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    let told: Vec<String> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| format!("{}:{} {} {} {}", f["file"], f["line"], f["rule"], f["level"], f["because"]))
        .collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].starts_with("\"./policy.yaml\":2 \"not-understood\" \"warn\"") && told[0].contains("NetworkPolcy"),
        "{told:#?}"
    );
    assert!(
        told[1].starts_with("\"./web.yaml\":1 \"not-understood\" \"warn\"") && told[1].contains("apps/v1"),
        "{told:#?}"
    );
}

#[test]
fn names_cannot_act_on_the_terminal_or_begin_a_command_of_ci() {
    let folder = folder();
    let hostile = "a\\n::error::b\\e[31mc\\u202ed\\r##[group]";
    let text = OPEN.replace("a, b::c", hostile);
    std::fs::write(folder.path().join("::stop-commands::x.yaml"), &text).unwrap();
    std::fs::write(folder.path().join("hostile.yaml"), text).unwrap();
    for format in ["text", "github"] {
        let out = check(folder.path(), format);
        assert!(out.contains("error::b"), "{out}");
        assert!(!out.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{out:?}");
        let commands = |line: &&str| line.starts_with("::") || line.starts_with("##[");
        let own =
            |line: &&str| ["::error file=", "::warning file=", "::notice file="].iter().any(|o| line.starts_with(o));
        let foreign: Vec<&str> = out.lines().filter(commands).filter(|line| format == "text" || !own(line)).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}

//! Reading manifests: what is read, where its fields are, and what is said about what cannot be read.

mod bad;
mod folders;
mod roundtrip;

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::source::manifests::{Document, ManifestError, Manifests, Position, read_paths, read_str};
use serde_json::{Value, json};

fn guides() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guides")
}

fn read_one(text: &str) -> Document {
    let (mut documents, errors) = read_str("a.yaml", text);
    assert!(errors.is_empty(), "{text}: {}", errors[0]);
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

/// The value under `v` of a ConfigMap whose `v:` is followed by this text.
fn scalar(text: &str) -> Value {
    read_one(&format!("apiVersion: v1\nkind: ConfigMap\nv: {text}\n")).value["v"].clone()
}

fn errors_of(text: &str) -> Vec<ManifestError> {
    read_str("a.yaml", text).1
}

/// The only error, as shown.
fn error_of(text: &str) -> String {
    let errors = errors_of(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

fn names(documents: &[Document]) -> Vec<&str> {
    documents.iter().filter_map(Document::name).collect()
}

const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\n";

#[test]
fn every_file_of_the_guides_is_read() {
    for (folder, files, objects) in [("first", 15, 34), ("second", 20, 36)] {
        let read = Manifests::read(&[guides().join(folder)]);
        assert!(read.errors.is_empty(), "{:?}", read.errors);
        assert!(read.skipped.is_empty(), "{:?}", read.skipped);
        let mut seen: Vec<_> = read.documents.iter().map(|d| d.file.clone()).collect();
        seen.dedup();
        assert_eq!((seen.len(), read.documents.len()), (files, objects), "{folder}");
        assert!(seen.is_sorted());
        for document in &read.documents {
            let kind = document.kind().expect("kind");
            assert!(document.api_version().is_some() && document.name().is_some(), "{document:?}");
            assert_eq!(
                document.namespace().is_none(),
                matches!(kind, "Namespace" | "ClusterConnectivityAssertion"),
                "{document:?}"
            );
        }
    }
}

#[test]
fn fields_of_a_guide_are_where_an_editor_shows_them() {
    let file = guides().join("first/allow-external-apis.yaml");
    let text = fs::read_to_string(&file).expect("guide");
    let (documents, _) = read_paths(&[file]);
    let spans = &documents[0].spans;
    for (path, starts_with) in [
        ("", "apiVersion: networking"),
        ("kind", "NetworkPolicy"),
        ("spec.podSelector.matchLabels", "app.kubernetes.io/name: myapp"),
        (r#"spec.podSelector.matchLabels["app.kubernetes.io/name"]"#, "myapp-workers"),
        ("spec.policyTypes[0]", "Egress"),
        ("spec.egress", "- to:"),
        ("spec.egress[0].to[0]", "ipBlock:"),
        ("spec.egress[0].to[0].ipBlock.cidr", "0.0.0.0/0"),
        ("spec.egress[0].to[0].ipBlock.except[2]", "192.168.0.0/16"),
        ("spec.egress[0].ports[0].port", "443"),
        // What is not there is shown at its nearest parent.
        ("spec.egress[0].ports[0].endPort", "protocol: TCP"),
        ("spec.egress[7].to", "- to:"),
        ("spec.ingress[0]", "podSelector:"),
    ] {
        let Position { line, column } = spans.locate(path);
        let there: String =
            text.lines().nth(line as usize - 1).expect("line").chars().skip(column as usize - 1).collect();
        assert!(there.starts_with(starts_with), "{path} is at {line}:{column}, which reads {there:?}");
    }
    assert_eq!(spans.locate("spec.egress[0].to[0].ipBlock.cidr"), Position { line: 17, column: 19 });
}

#[test]
fn a_stream_keeps_its_lines() {
    let text = "\u{feff}# a comment first\r\n---\r\n# nothing\r\n---\r\napiVersion: v1\r\nkind: A\r\nmetadata: {name: one}\r\n--- # two\r\napiVersion: v1\r\nkind: B\r\nmetadata:\r\n  name: 'zwö'\r\n...\r\n%YAML 1.2\r\n---\r\n{apiVersion: v1, kind: C, metadata: {name: three}}\r\n---\r\n";
    let (documents, errors) = read_str("-", text);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(names(&documents), ["one", "zwö", "three"]);
    assert_eq!(&*documents[0].file, "<stdin>");
    let at = |n: usize, path: &str| {
        let Position { line, column } = documents[n].spans.locate(path);
        (line, column)
    };
    assert_eq!(at(0, ""), (5, 1));
    assert_eq!(at(0, "metadata.name"), (7, 18));
    assert_eq!(at(1, "metadata.name"), (12, 9));
    assert_eq!(at(2, "kind"), (16, 24));
}

#[test]
fn three_dashes_inside_a_text_are_no_separator() {
    let document = read_one(&format!("{HEAD}data:\n  a: |\n    ---\n    b\n  c: --- d\n"));
    assert_eq!(document.value["data"], json!({"a": "---\nb\n", "c": "--- d"}));
}

#[test]
fn scalars_mean_what_they_mean_to_kubernetes() {
    for (text, value) in [
        ("8080", json!(8080)),
        ("\"8080\"", json!("8080")),
        ("'8080'", json!("8080")),
        ("!!str 8080", json!("8080")),
        ("yes", json!(true)),
        ("On", json!(true)),
        ("\"on\"", json!("on")),
        ("off", json!(false)),
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0x1F", json!(31)),
        ("-7", json!(-7)),
        ("18446744073709551615", json!(u64::MAX)),
        ("1.5", json!(1.5)),
        ("1e3", json!(1000.0)),
        ("10.0.0.0/8", json!("10.0.0.0/8")),
        ("169.254.20.10", json!("169.254.20.10")),
        ("1.2.3", json!("1.2.3")),
        ("2001-01-01", json!("2001-01-01")),
        ("22:30", json!("22:30")),
        ("::/0", json!("::/0")),
        ("~", json!(null)),
        ("", json!(null)),
        ("null", json!(null)),
        ("\"\"", json!("")),
        ("{}", json!({})),
        ("[]", json!([])),
        ("a # comment", json!("a")),
        ("a#b", json!("a#b")),
    ] {
        assert_eq!(scalar(text), value, "{text}");
    }
}

#[test]
fn anchors_and_merge_keys_are_followed_and_shown_where_they_are_used() {
    let document = read_one(&format!("{HEAD}base: &base\n  a: 1\n  b: [x]\nuse: *base\nmore:\n  <<: *base\n  a: 2\n"));
    assert_eq!(document.value["use"], json!({"a": 1, "b": ["x"]}));
    assert_eq!(document.value["more"], json!({"a": 2, "b": ["x"]}));
    assert_eq!(document.spans.locate("use"), Position { line: 6, column: 6 });
    assert_eq!(document.spans.locate("more.a"), Position { line: 9, column: 6 });
}

#[test]
fn lists_are_flattened_with_their_lines() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicyList\n  items:\n  - metadata:\n      name: b\n    spec: {}\n";
    let (documents, errors) = read_str("a.yaml", text);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(names(&documents), ["a", "b"]);
    assert_eq!(documents[1].kind(), Some("NetworkPolicy"));
    assert_eq!(documents[1].api_version(), Some("networking.k8s.io/v1"));
    assert_eq!(documents[0].start(), Position { line: 4, column: 3 });
    assert_eq!(documents[1].spans.locate("metadata.name"), Position { line: 11, column: 13 });

    assert!(read_str("a.yaml", "apiVersion: v1\nkind: List\nitems: []\n").1.is_empty());
    assert_eq!(read_one("apiVersion: a/v1\nkind: AllowList\nmetadata: {name: x}\n").kind(), Some("AllowList"));
    assert_eq!(
        error_of("apiVersion: v1\nkind: List\nitems:\n- a: 1\n"),
        "a.yaml:4:3: found no `apiVersion`, expected a Kubernetes object with apiVersion and kind"
    );
    assert!(error_of("apiVersion: v1\nkind: List\nitems: 7\n").starts_with("a.yaml:3:8: found a list object"));
}

#[test]
fn json_is_read_with_positions() {
    let text = "{\n  \"apiVersion\": \"v1\", \"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"\\ud83d\\ude00\", \"labels\": {\"a\\\"b\": \"ö\", \"z\": [1, [2, true]]}}\n}\n{\"apiVersion\":\"v1\",\"kind\":\"B\"}\n";
    for file in ["a.json", "a.yaml", "-"] {
        let (documents, errors) = read_str(file, text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].name(), Some("😀"));
        let at = |path: &str| documents[0].spans.locate(path).to_string();
        assert_eq!(at("kind"), "2:31");
        assert_eq!(at("metadata.name"), "3:23");
        assert_eq!(at(r#"metadata.labels["a\"b"]"#), "3:58");
        assert_eq!(at("metadata.labels.z[1][1]"), "3:76");
        assert_eq!(documents[1].spans.locate("kind").to_string(), "5:27");
    }
    let lenient = "{apiVersion: v1, # YAML, not JSON\n kind: Pod,}\n";
    assert_eq!(read_one(lenient).kind(), Some("Pod"));
    let shown = |text: &str| read_str("a.json", text).1.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(
        shown(lenient)[0].starts_with("a.json:1:2: found text that is not JSON: key must be a string"),
        "{:?}",
        shown(lenient)
    );
    assert_eq!(
        shown("{\"apiVersion\": \"v1\",\n \"kind\": \"A\",\n \"kind\": \"B\"}"),
        [
            "a.json:3:2: found the key `kind` a second time in the same mapping, expected each key once; remove one of the two"
        ]
    );
    assert!(
        shown("{\"a\": [1,\n 2")[0].starts_with("a.json:2:2: found text that is not JSON: EOF"),
        "{:?}",
        shown("{\"a\": [1,\n 2")
    );
}

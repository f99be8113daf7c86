//! Reading manifests: what is read, where its fields are, and what is said about what cannot be read.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::source::manifests::{
    Document, ManifestError, Manifests, Position, Problem, SkipReason, read_paths, read_str,
};
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
    for (folder, files, objects) in [("first", 14, 27), ("second", 20, 36)] {
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
            assert_eq!(document.namespace().is_none(), kind == "Namespace", "{document:?}");
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
        let there: String = text.lines().nth(line as usize - 1).expect("line").chars().skip(column as usize - 1).collect();
        assert!(there.starts_with(starts_with), "{path} is at {line}:{column}, which reads {there:?}");
    }
    assert_eq!(spans.locate("spec.egress[0].to[0].ipBlock.cidr"), Position { line: 15, column: 19 });
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
    let document = read_one(&format!(
        "{HEAD}base: &base\n  a: 1\n  b: [x]\nuse: *base\nmore:\n  <<: *base\n  a: 2\n"
    ));
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
        assert_eq!(at("metadata.name"), "3:22");
        assert_eq!(at(r#"metadata.labels["a\"b"]"#), "3:58");
        assert_eq!(at("metadata.labels.z[1][1]"), "3:76");
        assert_eq!(documents[1].spans.locate("kind").to_string(), "5:27");
    }
    let lenient = "{apiVersion: v1, # YAML, not JSON\n kind: Pod,}\n";
    assert_eq!(read_one(lenient).kind(), Some("Pod"));
    let shown = |text: &str| read_str("a.json", text).1.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(shown(lenient)[0].starts_with("a.json:1:2: found text that is not JSON: key must be a string"), "{:?}", shown(lenient));
    assert_eq!(
        shown("{\"apiVersion\": \"v1\",\n \"kind\": \"A\",\n \"kind\": \"B\"}"),
        ["a.json:3:2: found the key `kind` a second time in the same mapping, expected each key once; remove one of the two"]
    );
    assert!(shown("{\"a\": [1,\n 2")[0].starts_with("a.json:2:3: found text that is not JSON: EOF"), "{:?}", shown("{\"a\": [1,\n 2"));
}

#[test]
fn errors_of_one_document_do_not_hide_the_others() {
    let text = format!("{HEAD}metadata: {{name: a}}\n---\na: b: c\n---\n{HEAD}metadata: {{name: b}}\n---\n- x: [\n");
    let (documents, errors) = read_str("a.yaml", &text);
    assert_eq!(names(&documents), ["a", "b"]);
    let lines: Vec<_> = errors.iter().map(|e| e.position.expect("position").line).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(lines[0], 5);
    assert!(lines[1] >= 10, "{lines:?}");
    assert!(errors.iter().all(|e| matches!(e.problem, Problem::Yaml(_))), "{errors:?}");
}

#[test]
fn bad_yaml_is_an_error_with_its_place() {
    assert_eq!(
        error_of("apiVersion: v1\nkind: A\nmetadata:\n  name: a\n  name: b\n"),
        "a.yaml:5:3: found the key `name` a second time in the same mapping, expected each key once; remove one of the two"
    );
    let tab = error_of("apiVersion: v1\nmetadata:\n\tname: a\n");
    assert!(tab.starts_with("a.yaml:3:"), "{tab}");
    assert!(tab.contains("tab"), "{tab}");
    let alias = error_of("apiVersion: v1\nkind: *nothing\n");
    assert!(alias.starts_with("a.yaml:2:7: "), "{alias}");
    let infinite = error_of(&format!("{HEAD}v: .inf\n"));
    assert!(infinite.starts_with("a.yaml:3:4: "), "{infinite}");
    let key = error_of(&format!("{HEAD}? [a, b]\n: c\n"));
    assert!(key.starts_with("a.yaml:3:"), "{key}");
    for text in [&tab, &alias, &infinite, &key] {
        assert!(!text.contains(" at line ") && !text.contains('\n'), "the place is shown once, in front: {text}");
    }
}

#[test]
fn what_is_no_object_is_an_error_when_it_was_named() {
    for (text, shown) in [
        ("- a\n", "a.yaml:1:1: found a list, expected"),
        ("hello\n", "a.yaml:1:1: found a string, expected"),
        ("kind: Pod\n", "a.yaml:1:1: found no `apiVersion`, expected"),
        ("---\napiVersion: v1\n", "a.yaml:2:1: found no `kind`, expected"),
        ("apiVersion: 1\nkind: Pod\n", "a.yaml:1:13: found `apiVersion` that is a number and not a string, expected"),
        ("apiVersion: v1\nkind: ''\n", "a.yaml:2:7: found `kind` that is empty and not a string, expected"),
        ("", "a.yaml: found no document, expected"),
        ("# only a comment\n---\n", "a.yaml: found no document, expected"),
    ] {
        let error = error_of(text);
        assert!(error.starts_with(shown), "{text}: {error}");
    }
}

#[test]
fn a_helm_template_is_named_as_such() {
    for text in [
        "{{- if .Values.enabled }}\napiVersion: v1\nkind: Pod\n{{- end }}\n",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"{{ .Release.Name }}-a\"\n",
        "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    {{- include \"x.labels\" . | nindent 4 }}\n---\n{{ if }}\nkind: {{ x }}\n",
    ] {
        let error = error_of(text);
        assert!(error.contains("helm template RELEASE CHART | portcullis check -"), "{error}");
    }
    let (_, errors) = read_str("t.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n");
    assert_eq!(errors[0].position, Some(Position { line: 4, column: 9 }));

    // The braces of other languages, inside strings, are ordinary text.
    let text = "apiVersion: v1\nkind: Rule\nmetadata:\n  annotations:\n    summary: \"{{ $labels.pod }} is down\"\n  text: |\n    {{ x }}\n";
    assert!(read_one(text).value["metadata"]["annotations"]["summary"].is_string());
}

#[test]
fn depth_is_an_error_and_not_a_crash() {
    let deep = 100_000;
    let too_deep = |file: &str, text: &str| {
        let (_, errors) = read_str(file, text);
        assert_eq!(errors.len(), 1);
        let problem = &errors[0].problem;
        assert!(matches!(problem, Problem::TooDeep(_)), "{file}: {problem}");
        assert!(errors[0].position.is_some());
    };
    let brackets = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    too_deep("a.json", &brackets);
    too_deep("a.yaml", &brackets);
    too_deep("a.yaml", &format!("{HEAD}v: {brackets}\n"));
    too_deep("a.yaml", &format!("{HEAD}v: {}\n", "{a: ".repeat(deep)));
    too_deep("a.yaml", &format!("{HEAD}v:\n  {}1\n", "- ".repeat(deep)));
    let mut block = String::from(HEAD);
    for level in 0..3_000 {
        writeln!(block, "{:level$}a:", "").expect("string");
    }
    too_deep("a.yaml", &block);

    // What serde_json and therefore the API server read is read, on a thread with a small stack as well.
    let text = format!("{HEAD}v: {}{}\n", "[".repeat(120), "]".repeat(120));
    assert!(read_one(&text).value["v"][0][0].is_array());
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = format!("{HEAD}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..=12 {
        let uses = vec![format!("*a{}", n - 1); 10].join(", ");
        writeln!(text, "a{n}: &a{n} [{uses}]").expect("string");
    }
    let errors = errors_of(&text);
    assert_eq!(errors.len(), 1);
    assert!(matches!(errors[0].problem, Problem::AliasBomb(_)), "{}", errors[0]);
    assert!(errors_of(&format!("{HEAD}v: &a [*a]\n")).len() == 1, "an alias to itself");
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, bytes).expect("file");
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Manifests {
        Manifests::read(&[self.path(name)])
    }

    fn relative(&self, file: &str) -> String {
        file.replace(&*self.0.path().to_string_lossy(), "").trim_start_matches('/').to_owned()
    }
}

const POD: &[u8] = b"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n";

#[test]
fn a_folder_is_read_in_order_and_other_yaml_is_counted() {
    let folder = Folder::new(&[
        ("b.yml", POD),
        ("a/z.yaml", POD),
        ("a/deep/er.JSON", br#"{"apiVersion":"v1","kind":"Pod"}"#),
        (".git/x.yaml", b"]["),
        (".hidden.yaml", b"]["),
        ("readme.md", b"]["),
        ("values.yaml", b"replicas: 1\n"),
        ("kustomization.yaml", b"resources: [b.yml]\n"),
        ("overlay/kustomization.yaml", b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"),
        ("list.yaml", b"- 1\n"),
        ("empty.yaml", b"# nothing\n"),
    ]);
    let read = folder.read("");
    assert!(read.errors.is_empty(), "{:?}", read.errors);
    let files: Vec<_> = read.documents.iter().map(|d| folder.relative(&d.file)).collect();
    assert_eq!(files, ["a/deep/er.JSON", "a/z.yaml", "b.yml"]);
    let skipped: Vec<_> = read.skipped.iter().map(|s| (folder.relative(&s.file), s.reason)).collect();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
    assert_eq!(skipped[0], ("kustomization.yaml".to_owned(), SkipReason::Kustomization));
    assert_eq!(skipped[1].0, "list.yaml");
    assert_eq!(skipped[2], ("overlay/kustomization.yaml".to_owned(), SkipReason::Kustomization));
    assert_eq!(read.skipped[3].reason.to_string(), "not a Kubernetes object: found no `apiVersion`");

    // The same files, named: the user meant them to be manifests.
    for (name, shown) in [
        ("values.yaml", "1:1: found no `apiVersion`"),
        ("kustomization.yaml", "1:1: found a kustomization, expected"),
        ("overlay/kustomization.yaml", "kustomize build"),
        ("list.yaml", "1:1: found a list"),
        ("readme.md", "found text that is not YAML"),
    ] {
        let read = folder.read(name);
        assert_eq!(read.errors.len(), 1, "{name}");
        assert!(read.errors[0].to_string().contains(shown), "{}", read.errors[0]);
    }
}

#[test]
fn a_chart_is_one_error_and_not_one_for_each_template() {
    let folder = Folder::new(&[
        ("pod.yaml", POD),
        ("chart/Chart.yaml", b"apiVersion: v2\nname: x\n"),
        ("chart/values.yaml", b"a: 1\n"),
        ("chart/templates/a.yaml", b"{{ x }}"),
        ("chart/templates/b.yaml", b"{{ x }}"),
    ]);
    let read = folder.read("");
    assert_eq!(read.documents.len(), 1);
    assert_eq!(read.skipped.len(), 2);
    assert_eq!(read.errors.len(), 1, "{:?}", read.errors);
    let shown = read.errors[0].to_string();
    assert!(shown.contains("found a Helm chart") && shown.contains("chart | portcullis check -"), "{shown}");
}

#[test]
fn files_that_cannot_be_read_say_what_to_do() {
    let folder = Folder::new(&[
        ("latin1.yaml", b"apiVersion: v1\nkind: Caf\xe9\n"),
        ("utf16.yaml", b"\xff\xfea\0:\0"),
        ("nothing/readme.md", b"x"),
        ("only/values.yaml", b"a: 1"),
        ("nul.yaml", b"apiVersion: v1\nkind: \0\n"),
    ]);
    let shown = |name: &str| {
        let errors = folder.read(name).errors;
        assert_eq!(errors.len(), 1, "{name}");
        folder.relative(&errors[0].to_string())
    };
    assert!(shown("latin1.yaml").starts_with("latin1.yaml:2:10: found bytes that are not UTF-8"), "{}", shown("latin1.yaml"));
    assert!(shown("utf16.yaml").contains("iconv -f UTF-16"), "{}", shown("utf16.yaml"));
    assert!(shown("missing.yaml").starts_with("missing.yaml: found no such file or folder"), "{}", shown("missing.yaml"));
    assert!(shown("nothing").starts_with("nothing: found no Kubernetes object (0 skipped)"), "{}", shown("nothing"));
    assert!(shown("only").contains("(1 skipped)"), "{}", shown("only"));
    assert!(shown("nul.yaml").starts_with("nul.yaml:2:"), "{}", shown("nul.yaml"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_end() {
    use std::os::unix::fs::symlink;
    // As the kubelet mounts a ConfigMap, with a link to the folder itself for good measure.
    let folder = Folder::new(&[("..2026/pod.yaml", POD)]);
    symlink("..2026", folder.path("..data")).expect("link");
    symlink("..data/pod.yaml", folder.path("pod.yaml")).expect("link");
    symlink(".", folder.path("loop")).expect("link");
    let read = folder.read("");
    assert_eq!(read.documents.len(), 1, "{:?}", read.errors);
    assert!(read.errors.is_empty(), "{:?}", read.errors);
    symlink("gone", folder.path("broken.yaml")).expect("link");
    assert!(matches!(folder.read("").errors[0].problem, Problem::Missing));
}

mod roundtrip {
    //! What was written is read back, in JSON and in YAML.

    use portcullis::source::manifests::read_str;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,12}",
            any::<String>(),
            prop::sample::select(vec![
                "yes", "on", "null", "~", "", "0644", "8080", "1e3", "---", "...", "- a", "a: b", "#x", "<<", "*a", "&a",
                "!t", "{{ x }}", "\u{feff}", "\u{85}", "\u{2028}", "\t", "a\nb", "\r\n", " x ", "'", "\"", "\\", "%YAML", "|", ">",
                "\u{1f600}", ".inf", "0x1f", "1_000", "22:30", "=", "y",
            ])
            .prop_map(str::to_owned),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            // Halves, since serde_json may be one unit off in the last place of other numbers.
            any::<i32>().prop_map(|n| Value::from(f64::from(n) + 0.5)),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(text(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    /// Every path to a node, with the node.
    fn paths(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
        out.push((path.to_owned(), value.clone()));
        match value {
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    paths(item, &format!("{path}[{n}]"), out);
                }
            }
            Value::Object(fields) => {
                for (key, item) in fields {
                    let key = key.replace('\\', "\\\\").replace('"', "\\\"");
                    paths(item, &format!("{path}[\"{key}\"]"), out);
                }
            }
            _ => {}
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn json_and_yaml(value in value()) {
            let object = json!({"apiVersion": "v1", "kind": "Any", "v": value});
            let compact = serde_json::to_string(&object).unwrap();
            let pretty = serde_json::to_string_pretty(&object).unwrap();
            let yaml = serde_saphyr::to_string(&object).unwrap();
            for (file, text) in [("a.json", &compact), ("a.json", &pretty), ("a.yaml", &yaml)] {
                let (documents, errors) = read_str(file, text);
                prop_assert!(errors.is_empty(), "{}\n{}", text, errors[0]);
                prop_assert_eq!(documents.len(), 1, "{}", text);
                prop_assert_eq!(&documents[0].value, &object, "{}", text);
            }
            // In compact JSON each node is written where its position says.
            let (documents, _) = read_str("a.json", &compact);
            let mut nodes = Vec::new();
            paths(&object, "", &mut nodes);
            for (path, node) in nodes {
                let column = documents[0].spans.locate(&path).column as usize;
                let there: String = compact.chars().skip(column - 1).collect();
                let expected = serde_json::to_string(&node).unwrap();
                prop_assert!(there.starts_with(&expected), "{} is at {}: {}", path, column, there);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), tail in "[-\\[\\]{}:,&*!|>'\"%@`#\n\t a]{0,40}") {
            for file in ["a.yaml", "a.json"] {
                let _ = read_str(file, &text);
                let _ = read_str(file, &tail);
                let _ = read_str(file, &format!("apiVersion: v1\nkind: A\nv: {tail}"));
            }
        }
    }
}

//! What was written is read back, in JSON and in YAML.

use portcullis::source::manifests::read_str;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        any::<String>(),
        prop::sample::select(vec![
            "yes",
            "on",
            "null",
            "~",
            "",
            "0644",
            "8080",
            "1e3",
            "---",
            "...",
            "- a",
            "a: b",
            "#x",
            "<<",
            "*a",
            "&a",
            "!t",
            "{{ x }}",
            "\u{feff}",
            "\u{85}",
            "\u{2028}",
            "\t",
            "a\nb",
            "\r\n",
            " x ",
            "'",
            "\"",
            "\\",
            "%YAML",
            "|",
            ">",
            "\u{1f600}",
            ".inf",
            "0x1f",
            "1_000",
            "22:30",
            "=",
            "y",
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

//! Input that cannot be read: the error names the place, and what can be read still is.

use std::fmt::Write as _;

use portcullis::source::manifests::{Position, Problem, read_str};

use crate::{HEAD, error_of, errors_of, names, read_one};

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

//! The selector language: what is accepted and what it means (semantics 2.4.9), where errors point, and properties that
//! no table can cover.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Expr, Keys, MAX_BYTES, MAX_DEPTH, Op, parse};
use crate::model::selector::{Escape, Lookup, escaping};
use crate::model::{Labels, PodSpec, Selector, pod::PodLookup};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied())
}

/// The plain labels, through Calico's own notation and through the model.
fn matches(text: &str, pairs: &[(&str, &str)]) -> bool {
    let expr = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let labels = labels(pairs);
    let direct = expr.matches(&labels);
    assert_eq!(expr.lower(Keys::Pods).certain.matches(&labels), direct, "{text} on {labels}");
    assert_eq!(parse(&expr.to_string()).as_ref(), Ok(&expr), "{text}");
    direct
}

#[test]
fn every_operator_on_present_and_missing_labels() {
    // semantics 2.4.9: `!=` and `not in` are true where the label is absent.
    let web: &[(&str, &str)] = &[("app", "web-1")];
    for (text, on_web, on_nothing) in [
        ("app == 'web-1'", true, false),
        ("app == \"web\"", false, false),
        ("app != 'web-1'", false, true),
        ("app != 'api'", true, true),
        ("app in {'web-1', \"api\"}", true, false),
        ("app in {'api',}", false, false),
        ("app in {}", false, false),
        ("app not in {'web-1'}", false, true),
        ("app notin {'api'}", true, true),
        ("app not in {}", true, true),
        ("has(app)", true, false),
        ("has( app )", true, false),
        ("!has(app)", false, true),
        ("!!has(app)", true, false),
        ("! ! ! has(app)", false, true),
        ("app contains 'eb-'", true, false),
        ("app starts with 'web'", true, false),
        ("app startswith 'eb'", false, false),
        ("app ends with '-1'", true, false),
        ("app endswith 'web'", false, false),
        ("all()", true, true),
        ("all( )", true, true),
        ("", true, true),
        (" \t", true, true),
        ("!all()", false, false),
        ("!app == 'web-1'", false, true),
        ("!(app == 'web-1' || has(x))", false, true),
    ] {
        assert_eq!(matches(text, web), on_web, "{text} on app=web-1");
        assert_eq!(matches(text, &[]), on_nothing, "{text} on no labels");
    }
}

#[test]
fn and_binds_stronger_than_or_and_not_strongest() {
    let ab = parse("has(a) || has(b) && !has(c)").unwrap();
    let has = |key| Expr::Label(key, Op::Has);
    let not_c = Expr::Not(Box::new(has("c")));
    assert_eq!(ab, Expr::Or(vec![has("a"), Expr::And(vec![has("b"), not_c])]));
    assert!(matches("has(a) || has(b) && !has(c)", &[("a", ""), ("c", "")]));
    assert!(!matches("(has(a) || has(b)) && !has(c)", &[("a", ""), ("c", "")]));
}

#[test]
fn words_of_the_language_are_labels_where_a_label_belongs() {
    assert!(matches("in == 'x' && has == 'y' && contains in {'z'}", &[("in", "x"), ("has", "y"), ("contains", "z")]));
    assert!(matches("a.b/c-d_e == 'x'", &[("a.b/c-d_e", "x")]));
    assert!(matches(r#"a == '"' && b == "'""#, &[("a", "\""), ("b", "'")]));
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let said = |text: &str| {
        let error = parse(text).unwrap_err();
        format!("{error}\n{}", error.caret())
    };
    insta::assert_snapshot!(
        "selector_errors",
        [
            "app = 'web'",
            "app == web",
            "app == 'web",
            "app",
            "app && has(b)",
            "has (app)",
            "has(app",
            "has()",
            "(has(a) || has(b)",
            "has(a))",
            "has(a) has(b)",
            "has(a) & has(b)",
            "a in 'b'",
            "a in {'b' 'c'}",
            "a in {b}",
            "'a' == b",
            "a starts 'b'",
            "a not 'b'",
            "has(a) &&",
            "!",
            "()",
            "%",
            "role == 'ünï' && tier = 'x'",
            "has(a)\n",
            "this-is-a-long-label in {'with', 'many', 'values', 'in', 'it'} && then == 'a slip' | has(more) && has(evenmore)",
        ]
        .map(said)
        .join("\n\n")
    );
}

#[test]
fn hostile_texts_are_refused_in_time_and_space() {
    let deep = |n: usize| format!("{}all(){}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&deep(MAX_DEPTH + 1)).unwrap_err().column, MAX_DEPTH + 1);
    assert!(parse(&"(".repeat(100_000)).is_err());
    assert!(parse(&"(".repeat(MAX_BYTES)).is_err());
    assert!(parse(&format!("{}has(a)", "!".repeat(MAX_BYTES - 6))).is_ok(), "negations are no depth");
    assert!(parse(&"!(".repeat(MAX_BYTES / 2)).is_err());
    let long = format!("a in {{{}}}", "'x',".repeat(20_000));
    assert!(parse(&long).unwrap_err().to_string().contains("65,536 bytes"));
    let wide = vec!["has(a)"; 6000].join("&&");
    assert!(parse(&wide).unwrap().lower(Keys::Pods).certain.matches(&labels(&[("a", "")])));
}

#[test]
fn labels_that_calico_adds_are_known() {
    // semantics 2.4.9: pcns. and pcsa. prefixes, and what every pod carries.
    let mut pod = PodSpec::with_labels(labels(&[("app", "web")]));
    pod.service_account = "robot".into();
    let namespace = crate::model::Namespace::new("shop", &labels(&[("env", "prod")])).labels;
    let at = PodLookup { pod: &pod, namespace: &namespace };
    for (text, expected) in [
        ("projectcalico.org/namespace == 'shop'", true),
        ("has(projectcalico.org/namespace)", true),
        ("pcns.projectcalico.org/name == 'shop'", true),
        ("pcns.env == 'prod' && app == 'web'", true),
        ("pcns.env == 'dev'", false),
        ("has(pcns.team)", false),
        ("projectcalico.org/serviceaccount in {'robot'}", true),
        ("pcsa.projectcalico.org/name == 'robot'", true),
        ("projectcalico.org/orchestrator == 'k8s'", true),
        ("env == 'prod'", false),
    ] {
        let lowered = parse(text).unwrap().lower(Keys::Pods);
        assert!(lowered.is_exact(), "{text}");
        assert_eq!(lowered.certain.matches(&at), expected, "{text}");
    }
    let names = parse("projectcalico.org/name == 'shop' && env != 'dev'").unwrap().lower(Keys::Namespaces);
    assert!(names.certain.matches(&namespace));
    assert_eq!(names.certain.required_value("kubernetes.io/metadata.name").map(|v| &**v), Some("shop"));
}

#[test]
fn labels_of_service_accounts_are_unknown_and_bounded_both_ways() {
    let bounds = |text| parse(text).map(|e| e.lower(Keys::Pods)).unwrap();
    let plain = bounds("pcsa.role == 'x'");
    let unknown = |selector: &Selector| crate::model::References::default().settled(selector);
    assert_eq!((unknown(&plain.certain), unknown(&plain.possible)), (Selector::nothing(), Selector::everything()));
    let mixed = bounds("app == 'web' && !(pcsa.role == 'x' || has(legacy))");
    assert!(!mixed.certain.matches(&labels(&[("app", "web")])));
    assert!(mixed.possible.matches(&labels(&[("app", "web")])));
    assert!(!mixed.possible.matches(&labels(&[("app", "web"), ("legacy", "")])));
    assert!(!parse("has(role)").unwrap().lower(Keys::Accounts).is_exact());
}

#[test]
fn coverage_is_proved_for_parts_of_values_too() {
    let selector = |text| parse(text).unwrap().lower(Keys::Pods).certain;
    let everybody = selector("a starts with 'x' || !a starts with 'x'");
    assert!(everybody.matches_everything());
    let covered = selector("a contains 'x' || a ends with 'y' || !(a contains 'x') && !(a ends with 'y')");
    assert!(covered.matches_everything());
    let nearly = selector("!has(a) || a contains 'x' || !(a starts with 'x')");
    assert!(nearly.matches_everything(), "what starts with x contains x");
    let gap = selector("!has(a) || a starts with 'x' || a ends with 'y'");
    assert!(matches!(escaping(&[&gap]), Escape::By(_)));
}

fn key() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c.d/e-f_g"])
}

fn value() -> impl Strategy<Value = &'static str> {
    select(vec!["", "x", "y", "xy", "'", "\"", "x\"y"])
}

fn expressions() -> impl Strategy<Value = Expr<'static>> {
    let set = || {
        vec(value(), 0..3).prop_map(|mut values| {
            values.sort_unstable();
            values.dedup();
            values
        })
    };
    let op = prop_oneof![
        Just(Op::Has),
        value().prop_map(Op::Eq),
        value().prop_map(Op::Ne),
        set().prop_map(Op::In),
        set().prop_map(Op::NotIn),
        value().prop_map(Op::Contains),
        value().prop_map(Op::StartsWith),
        value().prop_map(Op::EndsWith),
    ];
    let leaf = prop_oneof![
        1 => Just(Expr::All),
        1 => Just(Expr::Global),
        12 => (key(), op).prop_map(|(key, op)| Expr::Label(key, op)),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|e| Expr::Not(Box::new(e))),
            vec(inner.clone(), 2..4).prop_map(Expr::And),
            vec(inner, 2..4).prop_map(Expr::Or),
        ]
    })
}

/// The language by its definition, written without looking at the implementation.
fn naive(expr: &Expr<'_>, labels: &Labels) -> bool {
    match expr {
        Expr::All | Expr::Global => true,
        Expr::Not(e) => !naive(e, labels),
        Expr::And(list) => list.iter().all(|e| naive(e, labels)),
        Expr::Or(list) => list.iter().any(|e| naive(e, labels)),
        Expr::Label(key, op) => {
            let value = labels.value(key).map(ToOwned::to_owned);
            match op {
                Op::Has => value.is_some(),
                Op::Eq(v) => value == Some((*v).to_owned()),
                Op::Ne(v) => value != Some((*v).to_owned()),
                Op::In(list) => value.is_some_and(|v| list.iter().any(|x| *x == v)),
                Op::NotIn(list) => !value.is_some_and(|v| list.iter().any(|x| *x == v)),
                Op::Contains(v) => value.is_some_and(|x| x.contains(*v)),
                Op::StartsWith(v) => value.is_some_and(|x| x.starts_with(*v)),
                Op::EndsWith(v) => value.is_some_and(|x| x.ends_with(*v)),
            }
        }
    }
}

/// Label sets that tell apart what the generated expressions can tell apart.
fn universe() -> Vec<Labels> {
    let values = ["", "x", "y", "xy", "yx", "'", "\"", "x\"y", "z", "xzy", "x'\"y", "y\"x", "x\"yx'y"];
    let choices: Vec<Option<&str>> = std::iter::once(None).chain(values.map(Some)).collect();
    let mut all = Vec::new();
    for a in &choices {
        for b in &choices {
            for c in [None, Some("x"), Some("xy"), Some("z")] {
                let pairs = [("a", *a), ("b", *b), ("c.d/e-f_g", c)];
                all.push(Labels::new(pairs.into_iter().filter_map(|(k, v)| v.map(|v| (k, v)))));
            }
        }
    }
    all
}

proptest! {
    #[test]
    fn printing_and_parsing_gives_the_same(expr in expressions()) {
        let text = expr.to_string();
        prop_assert_eq!(parse(&text), Ok(expr), "{}", text);
    }

    #[test]
    fn evaluation_agrees_with_the_definition(expr in expressions()) {
        let lowered = expr.lower(Keys::Pods);
        prop_assert!(lowered.is_exact());
        for labels in universe() {
            let expected = naive(&expr, &labels);
            prop_assert_eq!(expr.matches(&labels), expected);
            prop_assert_eq!(lowered.certain.matches(&labels), expected);
        }
    }

    #[test]
    fn the_solver_is_sound_for_the_whole_language(list in vec(expressions(), 1..4)) {
        let selectors: Vec<Selector> = list.iter().map(|e| e.lower(Keys::Pods).certain).collect();
        let refs: Vec<&Selector> = selectors.iter().collect();
        match escaping(&refs) {
            Escape::By(labels) => prop_assert!(list.iter().all(|e| !naive(e, &labels)), "{labels}"),
            Escape::Impossible => {
                for labels in universe() {
                    prop_assert!(list.iter().any(|e| naive(e, &labels)), "{labels}");
                }
            }
            Escape::Unknown => {}
        }
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_place(text in "[a-c()!&|{}'\"=, \\t.notinhasl]{0,60}|\\PC{0,60}") {
        match parse(&text) {
            Ok(expr) => prop_assert_eq!(parse(&expr.to_string()).map(|e| e.to_string()), Ok(expr.to_string())),
            Err(error) => {
                prop_assert!(error.column <= text.chars().count() + 1);
                prop_assert_eq!(error.caret().lines().count(), 2);
            }
        }
    }
}

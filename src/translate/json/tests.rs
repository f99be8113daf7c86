//! Borrowed values against those of `serde_json`: they hold the same, refuse the same, and say the same.

use proptest::prelude::*;
use serde_json::{Map as Fields, Value as Plain, json};

use super::*;
use crate::translate::wire::{Meta, Pairs};

/// Any JSON, with few names so that some fields are known and some are there twice.
fn values() -> impl Strategy<Value = Plain> {
    let text =
        || prop_oneof!["[a-c]{0,2}", "[a-z\"\\\\\u{e9}\n]{0,6}", Just("name".to_owned()), Just("status".to_owned())];
    let leaf = prop_oneof![
        Just(Plain::Null),
        any::<bool>().prop_map(Plain::from),
        any::<u64>().prop_map(Plain::from),
        any::<i64>().prop_map(Plain::from),
        any::<f64>().prop_map(Plain::from),
        text().prop_map(Plain::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Plain::from),
            proptest::collection::vec((text(), inner), 0..20)
                .prop_map(|fields| fields.into_iter().collect::<Fields<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_is_what_serde_json_reads(plain in values()) {
        for text in [plain.to_string(), serde_json::to_string_pretty(&plain).unwrap()] {
            let (ours, theirs): (Value<'_>, Plain) =
                (serde_json::from_str(&text).unwrap(), serde_json::from_str(&text).unwrap());
            prop_assert_eq!(ours.to_string(), theirs.to_string());
            prop_assert_eq!(&Value::deserialize(&theirs).unwrap(), &ours);
            let typed = |error: serde_json::Error| error.to_string();
            prop_assert_eq!(Pairs::deserialize(&ours).map_err(typed), Pairs::deserialize(&theirs).map_err(typed));
        }
    }

    #[test]
    fn fields_are_found_however_many_there_are(names in proptest::collection::vec("[a-f]{1,2}", 0..60)) {
        let text = format!(
            "{{{}}}",
            names.iter().enumerate().map(|(i, name)| format!("\"{name}\": {i}")).collect::<Vec<_>>().join(",")
        );
        let (ours, theirs): (Value<'_>, Plain) =
            (serde_json::from_str(&text).unwrap(), serde_json::from_str(&text).unwrap());
        // Of equal names the last counts, and the others are gone.
        prop_assert_eq!(ours.to_string(), theirs.to_string());
        for name in names.iter().map(String::as_str).chain(["", "absent"]) {
            prop_assert_eq!(ours.get(name).and_then(Value::as_u64), theirs.get(name).and_then(Plain::as_u64));
        }
    }
}

#[test]
fn texts_are_borrowed_unless_they_have_escapes() {
    let value: Value<'_> = serde_json::from_str(r#"{"plain": "a", "escaped": "\u00e9", "na\u006de": 1}"#).unwrap();
    assert!(matches!(&value["plain"], Value::String(Cow::Borrowed("a"))));
    assert!(matches!(&value["escaped"], Value::String(Cow::Owned(text)) if text == "\u{e9}"));
    assert_eq!(value["name"].as_u64(), Some(1));
    assert!(value["absent"].is_null() && !value.as_object().unwrap().contains_key("absent"));
    assert_eq!(Value::Null["any"], Value::Null);
}

#[test]
fn what_controllers_keep_in_an_object_is_passed_over() {
    let text = json!({
        "metadata": {"name": "a", "managedFields": [{"fieldsV1": {"f:spec": {}}}], "labels": {"managedFields": "b"}},
        "spec": {"status": 1, "metadata": {"managedFields": 2}},
        "status": {"conditions": []},
    })
    .to_string();
    let value = Value::of_object(&mut serde_json::Deserializer::from_str(&text)).unwrap();
    let left = json!({
        "metadata": {"name": "a", "labels": {"managedFields": "b"}},
        "spec": {"status": 1, "metadata": {"managedFields": 2}},
    });
    assert_eq!(value.to_string(), left.to_string());
    assert_eq!(value.at(&["spec", "metadata", "managedFields"]).and_then(Value::as_u64), Some(2));
}

#[test]
fn what_serde_json_refuses_is_refused_in_its_words() {
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    for text in [deep.as_str(), "{\"a\": 1,}", "{\"a\": \"\\ud800\"}", "{\"a\": 1e999}", "[", "nul"] {
        let words = |error: serde_json::Error| error.to_string();
        let ours = serde_json::from_str::<Value<'_>>(text).map_err(words).unwrap_err();
        assert_eq!(ours, serde_json::from_str::<Plain>(text).map_err(words).unwrap_err(), "{text}");
    }
    let just = format!("{}{}", "[".repeat(127), "]".repeat(127));
    assert!(serde_json::from_str::<Value<'_>>(&just).is_ok());
}

#[test]
fn metadata_is_refused_in_the_same_words_from_either_value() {
    for meta in [
        json!({"name": 5}),
        json!({"name": "a", "labels": {"b": 1.5}}),
        json!({"labels": ["a"]}),
        json!({"ownerReferences": {"kind": "a"}}),
        json!({"ownerReferences": [{"controller": "yes"}]}),
        json!("text"),
        json!(["a", "b"]),
        json!(["a", "b", {}, [], null, "more"]),
        json!(true),
    ] {
        let ours = Value::deserialize(&meta).unwrap();
        let (ours, theirs) = (Meta::deserialize(&ours).unwrap_err(), Meta::deserialize(&meta).unwrap_err());
        assert_eq!(ours.to_string(), theirs.to_string(), "{meta}");
    }
}

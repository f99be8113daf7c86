//! Calico's NetworkSet, GlobalNetworkSet and Tier → model (semantics 2.4.2, 2.4.12).

use super::super::json::{Map, Value};

use super::super::at::At;
use super::super::{Defaults, Kind, shorten};
use super::entity::net;
use super::reader::Reader;
use crate::model::policy::{Priority, TierEnd};
use crate::model::{AddressGroup, GroupKind, Labels, Object, TierObject};

/// Where Calico keeps the labels of an object that it stores as `crd.projectcalico.org`.
const METADATA: [&str; 3] = ["metadata", "annotations", "projectcalico.org/metadata"];

/// Reads a set of networks. A block that cannot be read is not in it.
pub(super) fn set(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let mut reader = Reader::default();
    let at = At::root("spec");
    let fields = reader.fields(value.get("spec"), &at, &["nets"], "ignored");
    let nets_at = at.field("nets");
    let taken = "it is not in the set";
    let texts = reader.texts(fields.get("nets"), &nets_at, taken);
    let mut nets = Vec::with_capacity(texts.len());
    for (i, text) in texts.iter().enumerate() {
        match net(text) {
            Ok(net) => nets.push(net),
            Err(error) => reader.note(&nets_at.index(i), format!("{error}; {taken}")),
        }
    }
    let id = super::id(kind, value, defaults, "");
    let kind = if kind == Kind::NetworkSet { GroupKind::NetworkSet } else { GroupKind::GlobalNetworkSet };
    Object::AddressGroup(AddressGroup { id, kind, labels: labels(value), nets, unread: reader.unread })
}

/// The labels of the object, and those that its stored form carries inside an annotation.
fn labels(value: &Value<'_>) -> Labels {
    let stored = value.at(&METADATA).and_then(Value::as_str);
    let stored: Option<Value<'_>> = stored.and_then(|text| serde_json::from_str(text).ok());
    let own = value.at(&["metadata", "labels"]).and_then(Value::as_object);
    let stored = stored.as_ref().and_then(|meta| meta.get("labels")).and_then(Value::as_object);
    let pairs = own.into_iter().chain(stored).flat_map(Map::iter);
    Labels::new(pairs.filter_map(|(key, value)| Some((key, value.as_str()?))))
}

/// Reads a tier.
pub(super) fn tier(value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let mut reader = Reader::default();
    let at = At::root("spec");
    let fields = reader.fields(value.get("spec"), &at, &["order", "defaultAction"], "ignored");
    let order = reader.number(fields.get("order"), &at.field("order"), "the tier is taken as the last");
    let action_at = at.field("defaultAction");
    let end = match reader.text(fields.get("defaultAction"), &action_at, "taken as Deny") {
        "" | "Deny" => TierEnd::DenyGoverned,
        "Pass" => TierEnd::Continue,
        other => {
            let what = format!("`{}` is no default action; there are Deny and Pass; taken as Deny", shorten(other));
            reader.note(&action_at, what);
            TierEnd::DenyGoverned
        }
    };
    Object::Tier(TierObject {
        id: super::id(Kind::CalicoTier, value, defaults, ""),
        order: order.map_or(Priority::LAST, Priority::new),
        end,
        unread: reader.unread,
    })
}

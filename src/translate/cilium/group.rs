//! CiliumCIDRGroup: blocks under a name, which policies refer to by it or by label.

use crate::translate::json::Value;

use super::reading::{IGNORED, Reading};
use crate::model::{AddressGroup, GroupKind, Labels, Object};
use crate::translate::at::At;
use crate::translate::{Defaults, Kind, id, labels};

/// How the sentence ends about a block that cannot be read.
const NOT_IN: &str = "it is not in the group";

pub(super) fn read(value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let kind = Kind::CiliumCidrGroup;
    let mut reading = Reading::default();
    let meta = reading.metadata(value);
    reading.version(value, &[kind.api_version(), "cilium.io/v2alpha1"]);
    let (spec_at, null) = (At::root("spec"), Value::Null);
    let spec = value.get("spec").unwrap_or(&null);
    let mut nets = Vec::new();
    if let Ok((fields, _)) = reading.some_fields(spec, &spec_at, &["externalCIDRs"], IGNORED) {
        let at = spec_at.field("externalCIDRs");
        let list = reading.list(fields.get("externalCIDRs"), &at, NOT_IN).ok().flatten().unwrap_or_default();
        for (i, item) in list.iter().enumerate() {
            let at = at.index(i);
            let Ok(text) = reading.text(Some(item), &at, NOT_IN) else { continue };
            nets.extend(reading.block(text, &at, NOT_IN));
        }
    }
    let labels = meta.labels.as_ref().map_or_else(Labels::default, |pairs| labels(Some(pairs)));
    let id = id(kind, &meta, defaults);
    Object::AddressGroup(AddressGroup { id, kind: GroupKind::Cidrs, labels, nets, unread: reading.unread })
}

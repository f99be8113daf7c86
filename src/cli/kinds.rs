//! Kinds in which policies can be written, as people name them, and what is written read again as a cluster would.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::model::{Departure, Object, Policy};
use crate::source::manifests;
use crate::translate::{Defaults, Kind, convert, from_value, render};

/// Kinds in which policies can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WrittenAs {
    /// NetworkPolicy of Kubernetes
    #[value(alias = "np")]
    Networkpolicy,
    /// NetworkPolicy of Calico
    Calico,
    /// CiliumNetworkPolicy
    Cilium,
    /// ClusterNetworkPolicy
    #[value(alias = "cnp")]
    Clusternetworkpolicy,
}

impl WrittenAs {
    /// The kind.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Networkpolicy => Kind::NetworkPolicy,
            Self::Calico => Kind::CalicoNetworkPolicy,
            Self::Cilium => Kind::CiliumNetworkPolicy,
            Self::Clusternetworkpolicy => Kind::ClusterNetworkPolicy,
        }
    }

    /// So many of them.
    pub(super) fn counted(self, count: usize) -> String {
        let words = self.plural();
        if count == 1 { format!("1 {}", words.replacen("Policies", "Policy", 1)) } else { format!("{count} {words}") }
    }

    /// What several of them are called.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Networkpolicy => "NetworkPolicies",
            Self::Calico => "NetworkPolicies of Calico",
            Self::Cilium => "CiliumNetworkPolicies",
            Self::Clusternetworkpolicy => "ClusterNetworkPolicies",
        }
    }
}

/// What was written: the text, what it says when it is read again, and where it departs from what was meant.
pub(super) struct Written {
    pub(super) yaml: String,
    pub(super) objects: Vec<Object>,
    pub(super) departures: Vec<Departure>,
}

impl Written {
    /// Writes objects and reads them again. What would not be understood in full must not get out.
    pub(super) fn of(values: &[Value], departures: Vec<Departure>) -> anyhow::Result<Self> {
        let documents: Vec<String> = values.iter().map(render::to_yaml).collect();
        let yaml = documents.join("---\n");
        let (documents, errors) = manifests::read_str("what was written", &yaml);
        if let Some(error) = errors.first() {
            bail!("{error}; this is a defect of portcullis, please report it with the input");
        }
        let mut objects = Vec::new();
        for document in documents {
            let group = document.api_version().and_then(|text| text.split_once('/')).map_or("", |(group, _)| group);
            let kind = document.kind().and_then(|kind| Kind::of(group, kind));
            let kind = kind.context("what was written is of no kind; this is a defect of portcullis")?;
            let object = from_value(kind, &document.value, &Defaults::default());
            if let Some(unread) = object.unread().first() {
                bail!(
                    "{} as it was written is not understood at {}: {}; this is a defect of portcullis, please report it with the input",
                    object.id(),
                    unread.at,
                    unread.what
                );
            }
            objects.push(object);
        }
        Ok(Self { yaml, objects, departures })
    }

    /// Policies made here, in a kind.
    pub(super) fn policies(policies: &[Policy], kind: WrittenAs) -> anyhow::Result<Self> {
        let (values, departures) = convert::in_kind(policies, kind.kind())?;
        Self::of(&values, departures)
    }
}

//! The shapes of Kubernetes objects, as lean as the model allows: what is not named here is skipped over while parsing,
//! so that `managedFields`, `status` and `env` of a large object never cost an allocation. Texts are borrowed where
//! JSON holds them without escapes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::slice;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::meter::charge;

/// A text, borrowed where possible. A type of its own, because `serde(borrow)` does not reach into `Option<Cow<str>>`; and
/// read in one step, because an object is mostly texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                charge(1);
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                charge(1);
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The text, or the empty one.
pub(super) fn text<'a>(text: Option<&'a Text<'_>>) -> &'a str {
    text.map_or("", |t| t)
}

/// A list that charges the meter for each element while it is read, so that a long one ends the reading instead of filling
/// the memory.
#[derive(Debug, Default, PartialEq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<'l, T> IntoIterator for &'l List<T> {
    type Item = &'l T;
    type IntoIter = slice::Iter<'l, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    charge(1);
                    items.push(item);
                }
                Ok(List(items))
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// Labels. A null value is the empty text, as the API server's decoder has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(4).min(64));
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    let value = map.next_value::<Option<Text<'de>>>().map_err(|error| {
                        A::Error::custom(format_args!("the value of `{}` must be text, in quotes: {error}", &*key))
                    })?;
                    pairs.push((key, value.unwrap_or_default()));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// What is read of `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub(super) struct Meta<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) namespace: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) labels: Option<Pairs<'a>>,
    #[serde(borrow)]
    pub(super) owner_references: Option<List<Owner<'a>>>,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
}

/// What is read of an owner reference.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Owner<'a> {
    #[serde(borrow)]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    pub(super) controller: Option<bool>,
}

/// Only the metadata, for the name of an object that cannot be read further.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Headed<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<Meta<'a>>,
}

/// What is read of a Namespace.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Namespace<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Status<'a>>,
}

/// What is read of a Pod.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Pod<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(super) spec: Option<PodSpec<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<PodStatus<'a>>,
}

/// What is read of a Pod's status: whether it is done, and its addresses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub(super) struct PodStatus<'a> {
    #[serde(borrow)]
    pub(super) phase: Option<Text<'a>>,
    #[serde(borrow, rename = "podIPs")]
    pub(super) pod_ips: Option<List<PodIp<'a>>>,
}

/// One address of a Pod.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct PodIp<'a> {
    #[serde(borrow)]
    pub(super) ip: Option<Text<'a>>,
}

/// What is read of a Namespace's status: whether it goes away.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Status<'a> {
    #[serde(borrow)]
    pub(super) phase: Option<Text<'a>>,
}

/// What is read of an object with a pod template.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Templated<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(super) spec: Option<TemplateSpec<'a>>,
}

/// A spec that holds a template.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct TemplateSpec<'a> {
    #[serde(borrow)]
    pub(super) template: Option<Template<'a>>,
}

/// What is read of a Job.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Job<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(super) spec: Option<TemplateSpec<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<JobStatus<'a>>,
}

/// What is read of a Job's status.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct JobStatus<'a> {
    #[serde(borrow)]
    pub(super) conditions: Option<List<Condition<'a>>>,
}

/// A condition.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
}

/// What is read of a CronJob.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct CronJob<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(super) spec: Option<CronJobSpec<'a>>,
}

/// What is read of a CronJob's spec.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub(super) struct CronJobSpec<'a> {
    #[serde(borrow)]
    pub(super) job_template: Option<JobTemplate<'a>>,
}

/// The job inside a CronJob.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct JobTemplate<'a> {
    #[serde(borrow)]
    pub(super) spec: Option<TemplateSpec<'a>>,
}

/// A pod template.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Template<'a> {
    #[serde(borrow)]
    pub(super) metadata: Option<TemplateMeta<'a>>,
    #[serde(borrow)]
    pub(super) spec: Option<PodSpec<'a>>,
}

/// What is read of a template's metadata.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct TemplateMeta<'a> {
    #[serde(borrow)]
    pub(super) labels: Option<Pairs<'a>>,
}

/// What is read of a pod's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub(super) struct PodSpec<'a> {
    #[serde(borrow)]
    pub(super) service_account_name: Option<Text<'a>>,
    /// The old name of the same field.
    #[serde(borrow)]
    pub(super) service_account: Option<Text<'a>>,
    pub(super) host_network: Option<bool>,
    #[serde(borrow)]
    pub(super) dns_policy: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) dns_config: Option<DnsConfig<'a>>,
    #[serde(borrow)]
    pub(super) containers: Option<List<Container<'a>>>,
    #[serde(borrow)]
    pub(super) init_containers: Option<List<Container<'a>>>,
}

/// What is read of a pod's resolver settings.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct DnsConfig<'a> {
    #[serde(borrow)]
    pub(super) nameservers: Option<List<Text<'a>>>,
}

/// What is read of a container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub(super) struct Container<'a> {
    #[serde(borrow)]
    pub(super) ports: Option<List<ContainerPort<'a>>>,
    #[serde(borrow)]
    pub(super) restart_policy: Option<Text<'a>>,
}

/// What is read of a container's port.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct ContainerPort<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) protocol: Option<Text<'a>>,
    #[serde(rename = "containerPort")]
    pub(super) number: Option<i64>,
}

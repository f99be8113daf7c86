//! The network below the policies: which plugins are believed to be there and why, and what Cilium's configuration says.
//! Policies that the network is told not to enforce do not count, and a default deny of its own counts as a policy.

use std::sync::Arc;

use super::Snapshot;
use super::links::Held;
use super::tree::Where;
use crate::model::cni::{Cni, Enforces, Family, Part};
use crate::model::sighting::{Clue, Hints, Sighting, believed};
use crate::model::{CiliumConfig, ObjectRef, Policy, PolicyObject, Str, Workload};

/// What is known of the network.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    hints: Hints,
    config: Option<Arc<CiliumConfig>>,
    sightings: Vec<Sighting>,
    plugins: Vec<Cni>,
    /// The configuration, where it counts.
    in_force: Option<Arc<CiliumConfig>>,
    /// The policy for every pod that it stands for.
    pub(super) everywhere: Option<Arc<Policy>>,
}

/// Policies that the network is told not to enforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overruled {
    by: Arc<CiliumConfig>,
    /// Plugins besides Cilium, which go by no word of its configuration.
    others: Vec<Cni>,
}

impl Overruled {
    fn reason(&self, id: &ObjectRef) -> Option<(Str, &'static str)> {
        let family = Family::of(id.group(), &id.kind);
        let elsewhere = |family| self.others.iter().any(|plugin| plugin.enforces(family) != Enforces::No);
        self.by.passes_over(id).filter(|_| !family.is_some_and(elsewhere))
    }

    pub(super) fn concerns(&self, object: &PolicyObject) -> bool {
        self.reason(&object.id).is_some()
    }

    /// The object as it counts, if that is less than it says.
    pub(super) fn applied(&self, object: &PolicyObject) -> Option<PolicyObject> {
        self.reason(&object.id)?;
        self.by.without_force(object)
    }
}

impl Snapshot {
    /// The network plugins that are believed to be there. Empty where none is known: the files of an application say nothing
    /// of any, and some distributions run theirs outside of pods.
    pub fn plugins(&self) -> &[Cni] {
        &self.network.plugins
    }

    /// The same, each with what tells that it is there.
    pub fn sightings(&self) -> &[Sighting] {
        &self.network.sightings
    }

    /// Cilium's configuration, where it is known and not left over from a network that ran once.
    pub fn cilium(&self) -> Option<&CiliumConfig> {
        self.network.in_force.as_deref()
    }

    /// What enforces policies here and when, in one line.
    pub fn network(&self) -> String {
        let mut parts: Vec<String> = self.sightings().iter().map(ToString::to_string).collect();
        if parts.is_empty() {
            parts.push("no plugin is known".to_owned());
        }
        match self.cilium() {
            Some(config) => parts.push(format!("enable-policy is {}, by {}", config.mode.as_str(), config.said_by)),
            None if self.plugins().contains(&Cni::Cilium) => {
                parts.push("enable-policy is taken for default, for want of its configuration".to_owned());
            }
            None => {}
        }
        parts.join("; ")
    }

    /// Why the network does not enforce a policy although it could: the setting, what it should be, and who says so.
    pub fn overruled(&self, id: &ObjectRef) -> Option<(Str, &'static str, &ObjectRef)> {
        let overruled = self.links.overruled.as_ref()?;
        let (setting, instead) = overruled.reason(id)?;
        Some((setting, instead, &overruled.by.said_by))
    }

    /// Whether each of the plugins enforces a family of policies.
    pub fn enforcing(&self, family: Family) -> Vec<(Cni, Enforces)> {
        self.asked(|plugin| plugin.enforces(family), |config, answer| config.enforces(family, answer))
    }

    /// Whether each of the plugins that enforce a family carries out a part of its policies.
    pub fn carrying_out(&self, family: Family, part: Part) -> Vec<(Cni, Enforces)> {
        let answers = self.asked(|plugin| plugin.carries_out(part), |config, answer| config.carries_out(part, answer));
        let enforcing = self.enforcing(family).into_iter().filter(|(_, answer)| *answer != Enforces::No);
        enforcing.filter_map(|(plugin, _)| answers.iter().find(|(one, _)| *one == plugin).copied()).collect()
    }

    fn asked(
        &self,
        plugin: impl Fn(Cni) -> Enforces,
        config: impl Fn(&CiliumConfig, Enforces) -> Enforces,
    ) -> Vec<(Cni, Enforces)> {
        let answer = |one: Cni| match self.cilium() {
            Some(known) if one == Cni::Cilium => config(known, plugin(one)),
            _ => plugin(one),
        };
        self.plugins().iter().map(|one| (*one, answer(*one))).collect()
    }

    /// What else than agents tells of plugins. Whether it made a difference.
    pub fn set_hints(&mut self, hints: Hints) -> bool {
        if self.network.hints == hints {
            return false;
        }
        Arc::make_mut(&mut self.network).hints = hints;
        self.look_again()
    }

    /// Takes over Cilium's configuration. Whether it is another one than before.
    pub fn set_cilium(&mut self, config: Option<CiliumConfig>) -> bool {
        if self.network.config.as_deref() == config.as_ref() {
            return false;
        }
        Arc::make_mut(&mut self.network).config = config.map(Arc::new);
        self.settle();
        true
    }

    /// Most pods are no agents, and are not looked at any further.
    pub(super) fn note_agent(&mut self, namespace: &str, workload: &Workload) {
        if Cni::NAMESPACES.contains(&namespace) && Cni::of_agent(&workload.pod.labels).is_some() {
            self.look_again();
        }
    }

    fn look_again(&mut self) -> bool {
        let mut agents = Vec::new();
        for state in Cni::NAMESPACES.iter().filter_map(|name| self.namespace(name)) {
            for class in state.classes().iter().filter(|class| &*class.owner().kind == "DaemonSet") {
                if let Some(plugin) = Cni::of_agent(&class.pod().labels) {
                    let (namespace, name) = (state.name().clone(), class.owner().name.clone());
                    agents.push(Sighting { plugin, clue: Clue::Agent { namespace, name } });
                }
            }
        }
        let sightings = believed(agents, &self.network.hints);
        if sightings == self.network.sightings {
            return false;
        }
        let network = Arc::make_mut(&mut self.network);
        network.plugins = sightings.iter().map(|sighting| sighting.plugin).collect();
        network.sightings = sightings;
        self.settle();
        true
    }

    /// Takes over what the configuration means among these plugins. One of Cilium where others are proved is left over.
    fn settle(&mut self) {
        let network = Arc::make_mut(&mut self.network);
        let (plugins, sightings) = (&network.plugins, &network.sightings);
        let others_only = !plugins.is_empty() && !plugins.contains(&Cni::Cilium);
        let left_over = others_only && sightings.iter().all(Sighting::is_proof);
        let in_force = network.config.clone().filter(|config| config.is_said() || !left_over);
        let others: Vec<Cni> = plugins.iter().copied().filter(|plugin| *plugin != Cni::Cilium).collect();
        if in_force != network.in_force {
            network.everywhere = in_force.as_ref().and_then(|config| config.policy());
            network.in_force.clone_from(&in_force);
        }
        let overruled = in_force.filter(|config| config.overrules()).map(|by| Overruled { by, others });
        if overruled != self.links.overruled {
            Arc::make_mut(&mut self.links).overruled = overruled;
            self.hold_again(|_| true);
        }
    }

    /// The policies of these objects as they count now.
    pub(super) fn hold_again(&mut self, concerned: impl Fn(&PolicyObject) -> bool) {
        let links = Arc::clone(&self.links);
        let again = |held: &Held| links.held(Arc::clone(held.written()));
        let concerned = |held: &&Held| concerned(held.written());
        let names: Vec<Str> = self.namespaces().map(|state| state.name().clone()).collect();
        for name in names {
            let Some(list) = self
                .namespace(&name)
                .map(|state| state.held_policies().filter(concerned).map(again).collect::<Vec<_>>())
            else {
                continue;
            };
            if !list.is_empty() {
                self.namespaces
                    .edit(&name, Where::Tree, |state| list.into_iter().for_each(|held| state.insert_policy(held)));
            }
        }
        if self.cluster_policies.values().any(|held| concerned(&held)) {
            for held in Arc::make_mut(&mut self.cluster_policies).values_mut().filter(|held| concerned(&&**held)) {
                *held = again(held);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pod, policy};
    use super::*;
    use crate::model::cilium::Switch;
    use crate::model::pod::Controller;
    use crate::model::{Enforcement, Labels, Object, PodSpec, Tier};

    fn agent(name: &str, app: &str) -> Object {
        let mut object = pod("kube-system", name, "x");
        if let Object::Workload(workload) = &mut object {
            workload.pod = Arc::new(PodSpec::with_labels(Labels::new([("k8s-app", app)])));
            workload.controller = Some(Controller { kind: "DaemonSet".into(), name: app.into() });
        }
        object
    }

    fn set(snapshot: &mut Snapshot, mode: Enforcement, switches: &[(Switch, bool)]) -> bool {
        let said_by = Arc::new(CiliumConfig::config_map());
        snapshot.set_cilium(Some(CiliumConfig { mode, switches: switches.to_vec(), said_by }))
    }

    /// Names of the policies that count in namespace n.
    fn counting(snapshot: &Snapshot) -> Vec<String> {
        let state = snapshot.namespace_or_empty("n");
        snapshot.policies_in(&state).map(|policy| policy.id.name.to_string()).collect()
    }

    fn state() -> Snapshot {
        let mut own = policy(Some("n"), "own", Tier::network_policy(), Vec::new());
        if let Object::Policy(object) = &mut own {
            object.id = Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "n", "own"));
        }
        Snapshot::of(&[own, policy(None, "all", Tier::calico("default"), Vec::new())])
    }

    #[test]
    fn what_is_switched_off_comes_back_with_the_switch() {
        let mut snapshot = state();
        assert!(set(&mut snapshot, Enforcement::Never, &[]));
        assert!(!set(&mut snapshot, Enforcement::Never, &[]), "no news");
        assert_eq!(counting(&snapshot), ["all"], "Calico's are none of its business");
        let more = snapshot.with(&policy(Some("n"), "more", Tier::cilium(), Vec::new()));
        assert_eq!(counting(&more), ["all"], "what comes later does not count either");
        assert!(set(&mut snapshot, Enforcement::Always, &[]));
        assert_eq!(counting(&snapshot), ["own", "all", "cilium-config"]);
        assert_eq!(snapshot.has_exclusive(), (true, true));
        assert!(snapshot.set_cilium(None));
        assert_eq!(counting(&snapshot), ["own", "all"]);
    }

    #[test]
    fn a_configuration_that_is_left_over_does_not_count() {
        let mut snapshot = state();
        set(&mut snapshot, Enforcement::Never, &[]);
        snapshot.insert(&agent("a", "calico-node"));
        assert_eq!((counting(&snapshot), snapshot.cilium()), (vec!["own".to_owned(), "all".to_owned()], None));
        snapshot.insert(&agent("b", "cilium"));
        assert_eq!(counting(&snapshot), ["own", "all"], "Calico enforces them as well");
        assert_eq!(snapshot.cilium().map(|config| config.mode), Some(Enforcement::Never));
        snapshot.remove(&agent("a", "calico-node"));
        assert_eq!(counting(&snapshot), ["all"]);
        assert_eq!(
            snapshot.network(),
            "Cilium, by the agents of DaemonSet kube-system/cilium; enable-policy is never, by ConfigMap kube-system/cilium-config"
        );
    }

    #[test]
    fn switches_say_what_agents_do_not() {
        let mut snapshot = state();
        snapshot.insert(&agent("b", "cilium"));
        let sctp = |snapshot: &Snapshot| snapshot.carrying_out(Family::NetworkPolicy, Part::Sctp);
        assert!(matches!(sctp(&snapshot)[..], [(Cni::Cilium, Enforces::If(_))]));
        set(&mut snapshot, Enforcement::Default, &[(Switch::Sctp, true), (Switch::Kubernetes, false)]);
        assert_eq!(sctp(&snapshot), [(Cni::Cilium, Enforces::Yes)]);
        let id = ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "n", "own");
        let why = snapshot.overruled(&id).map(|(setting, instead, _)| format!("{setting}, not {instead}"));
        assert_eq!(why.as_deref(), Some("enable-k8s-networkpolicy is false, not true"));
        assert_eq!(counting(&snapshot), ["all"]);
    }
}

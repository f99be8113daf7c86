//! What the cases share: the cluster, the gates in front of it, kubectl and what it said, waiting, and objects to send.

pub mod balancer;
pub mod foreign;
pub mod gate;
pub mod http;
pub mod kubectl;
pub mod objects;
pub mod outcome;
pub mod plane;
pub mod process;
pub mod wait;
pub mod watchdog;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

pub use gate::{Gate, Settings};
pub use kubectl::Kubectl;
pub use outcome::Outcome;
use plane::{ControlPlane, Coordinates};
pub use wait::{until, until_within};

/// Label by which a case keeps its namespaces for a gate of its own.
pub const CASE_LABEL: &str = "e2e.portcullis.dev/case";

/// A case and how it is called.
pub struct Case {
    pub module: &'static str,
    pub function: &'static str,
    pub run: fn(&Suite),
    /// Whether it disturbs what all others rely on.
    pub alone: bool,
}

impl Case {
    pub fn name(&self) -> String {
        let module = self.module.rsplit("::").next().unwrap_or_default();
        format!("{module}::{}", self.function)
    }
}

/// Lists functions of a module as cases; those after `alone` run with nothing beside them.
macro_rules! cases {
    ($($case:ident),* $(,)? $(; alone: $($single:ident),+ $(,)?)?) => {
        pub fn cases() -> Vec<$crate::support::Case> {
            let case = |function, run, alone| $crate::support::Case { module: module_path!(), function, run, alone };
            vec![
                $(case(stringify!($case), $case as fn(&$crate::support::Suite), false),)*
                $($(case(stringify!($single), $single as fn(&$crate::support::Suite), true),)+)?
            ]
        }
    };
}
pub(crate) use cases;

/// Everything that is started once, when it is first asked for. Fields end in the order in which they stand.
pub struct Suite {
    enforcing: LazyLock<Gate, Box<dyn FnOnce() -> Gate + Send>>,
    plane: Arc<LazyLock<ControlPlane>>,
    quiet: RwLock<()>,
}

impl Suite {
    pub fn new() -> Self {
        let plane = Arc::new(LazyLock::new(ControlPlane::up as fn() -> ControlPlane));
        let below = Arc::clone(&plane);
        Self {
            enforcing: LazyLock::new(Box::new(move || {
                let gate = Gate::install(&below.at, Settings::default());
                furnish(&below.at.kubectl());
                gate
            })),
            plane,
            quiet: RwLock::new(()),
        }
    }

    pub fn run(&self, case: &Case) {
        if case.alone {
            let _lock = self.quiet.write().unwrap_or_else(PoisonError::into_inner);
            (case.run)(self);
        } else {
            let _lock = self.quiet.read().unwrap_or_else(PoisonError::into_inner);
            (case.run)(self);
        }
    }

    /// The control plane, without a gate.
    pub fn plane(&self) -> &Coordinates {
        &self.plane.at
    }

    /// The enforcing gate in front of every namespace that no case keeps for itself.
    pub fn gate(&self) -> &Gate {
        &self.enforcing
    }

    /// kubectl as the cluster's administrator, with the enforcing gate in place.
    pub fn kubectl(&self) -> Kubectl {
        LazyLock::force(&self.enforcing);
        self.plane().kubectl()
    }
}

/// What every cluster has: DNS pods, and house rules that leave everything at its default.
fn furnish(kubectl: &Kubectl) {
    let dns = objects::deployment("kube-system", "coredns").replace("app: coredns", "k8s-app: kube-dns");
    let rules = "---\napiVersion: portcullis.dev/v1alpha1\nkind: HouseRules\nmetadata: {name: everywhere}\nspec: {}\n";
    kubectl.apply(&(dns + rules)).passes_silently();
    until("the DNS pods", || {
        if kubectl.list(&["-n", "kube-system", "pods", "-l", "k8s-app=kube-dns"]).is_empty() {
            Err("none".to_owned())
        } else {
            Ok(())
        }
    });
}

/// The folder of this repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where this run keeps its files. They stay after the run.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e").join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

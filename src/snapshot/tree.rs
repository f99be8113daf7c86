//! Namespaces by name, in a tree of shards that versions share.
//!
//! The next version costs a copy of one shard and one namespace. A world that is thrown away when its question is answered
//! does not even touch the tree: it lays the one namespace that differs over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NamespaceState;
use crate::model::Str;

/// There are two levels, this wide at each: with 25,000 namespaces a shard holds about six, and the next version copies
/// two lists of pointers and one shard.
const WIDTH: usize = 64;

type Shard = BTreeMap<Str, Arc<NamespaceState>>;
type Branch = Vec<Arc<Shard>>;

/// A namespace that is not as the tree has it. One is enough: a change is to one namespace.
#[derive(Clone, Debug)]
struct Patch {
    name: Str,
    place: (usize, usize),
    /// `None` where nothing is left of it.
    state: Option<Arc<NamespaceState>>,
}

/// Where a change is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// In the tree: a version to come, which many readers will share.
    Tree,
    /// Over it: a world that is thrown away.
    Over,
}

/// All namespaces.
#[derive(Clone, Debug)]
pub(super) struct Namespaces {
    tree: Arc<Vec<Arc<Branch>>>,
    patch: Option<Patch>,
}

impl Default for Namespaces {
    fn default() -> Self {
        // All alike until something is put in: sharing one empty shard and one empty branch is what is wanted.
        let shard = Arc::new(Shard::new());
        let empty: Arc<Branch> = Arc::new(std::iter::repeat_n(shard, WIDTH).collect());
        Self { tree: Arc::new(vec![empty; WIDTH]), patch: None }
    }
}

/// Branch and shard. FNV-1a: names are short, and the spread must be the same in every process.
fn place_of(namespace: &str) -> (usize, usize) {
    let hash =
        namespace.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let place = usize::try_from(hash % (WIDTH * WIDTH) as u64).unwrap_or(0);
    (place / WIDTH, place % WIDTH)
}

impl Namespaces {
    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<NamespaceState>> {
        match &self.patch {
            Some(patch) if *patch.name == *name => patch.state.as_ref(),
            _ => self.in_tree(place_of(name), name),
        }
    }

    fn in_tree(&self, (branch, shard): (usize, usize), name: &str) -> Option<&Arc<NamespaceState>> {
        self.tree.get(branch)?.get(shard)?.get(name)
    }

    /// All of them, in an order that is the same for equal states.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<NamespaceState>> {
        let shards = self
            .tree
            .iter()
            .enumerate()
            .flat_map(|(b, branch)| branch.iter().enumerate().map(move |(s, shard)| ((b, s), shard)));
        shards.flat_map(|(place, shard)| in_shard(shard, self.patch.as_ref().filter(|patch| patch.place == place)))
    }

    /// Changes one, which is there afterwards if anything is left in it.
    pub(super) fn edit(&mut self, namespace: &str, place: Where, change: impl FnOnce(&mut NamespaceState)) {
        if place == Where::Over {
            self.edit_over(namespace, change);
        } else {
            self.settle();
            self.edit_tree(namespace, change);
        }
    }

    /// Changes a namespace without a change to the tree.
    fn edit_over(&mut self, namespace: &str, change: impl FnOnce(&mut NamespaceState)) {
        if self.patch.as_ref().is_none_or(|patch| *patch.name != *namespace) {
            self.settle();
            let place = place_of(namespace);
            let state = self.in_tree(place, namespace).cloned();
            let name = state.as_ref().map_or_else(|| namespace.into(), |state| state.name().clone());
            self.patch = Some(Patch { name, place, state });
        }
        let Some(patch) = &mut self.patch else { return };
        let state = patch.state.get_or_insert_with(|| Arc::new(NamespaceState::named(namespace)));
        let state = Arc::make_mut(state);
        change(state);
        if state.is_empty() {
            patch.state = None;
        }
    }

    /// Writes what is laid over the tree into it.
    fn settle(&mut self) {
        let Some(Patch { name, place, state }) = self.patch.take() else { return };
        let Some(shard) = self.shard_mut(place) else { return };
        match state {
            Some(state) => shard.insert(name, state),
            None => shard.remove(&name),
        };
    }

    fn edit_tree(&mut self, namespace: &str, change: impl FnOnce(&mut NamespaceState)) {
        let Some(shard) = self.shard_mut(place_of(namespace)) else { return };
        let state = match shard.get_mut(namespace) {
            Some(state) => state,
            None => shard.entry(namespace.into()).or_insert_with(|| Arc::new(NamespaceState::named(namespace))),
        };
        let state = Arc::make_mut(state);
        change(state);
        if state.is_empty() {
            shard.remove(namespace);
        }
    }

    fn shard_mut(&mut self, (branch, shard): (usize, usize)) -> Option<&mut Shard> {
        let branch = Arc::make_mut(&mut self.tree).get_mut(branch)?;
        Arc::make_mut(branch).get_mut(shard).map(Arc::make_mut)
    }
}

/// The namespaces of a shard in the order of their names, one of them as the patch has it.
fn in_shard<'a>(shard: &'a Shard, patch: Option<&'a Patch>) -> impl Iterator<Item = &'a Arc<NamespaceState>> {
    let name = patch.map(|patch| &*patch.name);
    let below = move |n: &str| name.is_some_and(|name| n < name);
    let before = shard.iter().take_while(move |(n, _)| below(n));
    let after = shard.iter().skip_while(move |(n, _)| below(n)).filter(move |(n, _)| Some(&***n) != name);
    let before = before.map(|(_, state)| state);
    before.chain(patch.and_then(|patch| patch.state.as_ref())).chain(after.map(|(_, state)| state))
}

//! What the page knows, as numbers into tables: lists of policies, what each says to each kind of pods, and the rules
//! behind it. A pair of workloads costs nothing here; the page looks up both of its sides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::super::matrix::connections;
use super::super::reach::{action, path};
use super::super::yaml;
use super::outside::{self, Class};
use super::shape::{Connection, Data, JsonList, JsonNode, JsonOpened, JsonPolicy, JsonSide, JsonStep, Outside, World};
use super::{Page, State};
use crate::model::{Direction, FieldPath, IpSet, Policy, PortSet};
use crate::reach::{Bounds, Governed, Opened, Point, SideAnswer, Step, has_ports};

pub(super) fn of(page: &Page<'_>) -> Data {
    let states: Vec<&State<'_>> = [Some(&page.after), page.before.as_ref()].into_iter().flatten().collect();
    let lists: BTreeSet<Vec<&IpSet>> = states
        .iter()
        .flat_map(|s| (0..s.reasons.lists().len()).map(|l| s.reasons.addresses(l).iter().map(|(set, _)| set).collect()))
        .collect();
    let classes = outside::classes(&lists);
    let after = Tables::of(&page.after, page, &classes);
    let before = page.before.as_ref().map(|state| Tables::of(state, page, &classes));
    let changes = before.as_ref().map(|before| changes(before, &after)).unwrap_or_default();
    let asked = |end: usize, class: &Class| match page.ends.get(end).and_then(Option::as_ref) {
        None => true,
        Some(super::Pick::External(set)) => set.intersects(&class.set),
        Some(_) => false,
    };
    Data {
        version: env!("CARGO_PKG_VERSION"),
        paths: page.paths.clone(),
        dialect: page.dialect.clone(),
        namespace: page.filters[0].clone(),
        port: page.filters[1].clone(),
        notes: page.notes.clone(),
        outside: classes
            .iter()
            .map(|c| Outside {
                name: c.name.clone(),
                detail: c.detail.clone(),
                open: c.open,
                src: asked(0, c),
                dst: asked(1, c),
            })
            .collect(),
        entrances: page.entrances.clone(),
        after: after.world,
        before: before.map(|tables| tables.world),
        changes,
    }
}

/// What no port is, and what is said in its place.
fn shown(set: &PortSet) -> String {
    if has_ports(set) { connections(set) } else { String::new() }
}

/// A world as tables, and what they were made from where that is needed again.
struct Tables {
    world: World,
    bounds: Vec<Bounds>,
    /// The connection of each pair of names.
    pairs: HashMap<(Arc<str>, Arc<str>), usize>,
}

impl Tables {
    fn of(state: &State<'_>, page: &Page<'_>, classes: &[Class]) -> Self {
        let reasons = state.reasons;
        let mut steps = Steps::new(state);
        let sides =
            reasons.sides().map(|(side, direction, outcome)| json_side(&mut steps, side, direction, outcome)).collect();
        let nodes = reasons.nodes().iter().map(|node| JsonNode {
            id: node.name.clone(),
            namespace: node.namespace.to_string(),
            name: node.owner.name.to_string(),
            kind: node.owner.kind.to_string(),
            variant: node.variant.clone(),
            pods: node.pods,
            host: node.host_network,
            isolated: node.isolated,
            k: node.kind(),
            out: reasons.list(node, Direction::Egress),
            into: reasons.list(node, Direction::Ingress),
            src: page.ends[0].as_ref().is_none_or(|pick| pick.takes(node)),
            dst: page.ends[1].as_ref().is_none_or(|pick| pick.takes(node)),
        });
        let lists = reasons.lists().enumerate().map(|(l, kinds)| json_list(kinds, reasons.addresses(l), classes));
        let (nodes, lists): (Vec<JsonNode>, Vec<JsonList>) = (nodes.collect(), lists.collect());
        let mut meets = Meets { state, met: Vec::new(), list: Vec::new(), known: HashMap::new() };
        let names: Vec<Arc<str>> = reasons.nodes().iter().map(|n| n.name.as_str().into()).collect();
        let mut pairs = HashMap::new();
        for (i, src) in reasons.nodes().iter().enumerate() {
            for (j, dst) in reasons.nodes().iter().enumerate() {
                let (out, into, by_node) = reasons.pair(src, dst);
                let met = meets.number(reasons.outcome(out), reasons.outcome(into), u8::from(by_node));
                if page.before.is_some() {
                    pairs.insert((Arc::clone(&names[i]), Arc::clone(&names[j])), met);
                }
            }
            for (c, class) in classes.iter().enumerate() {
                let said = |direction| lists.get(reasons.list(src, direction)).and_then(|l| l.outside.get(c));
                for (direction, outward) in [(Direction::Egress, true), (Direction::Ingress, false)] {
                    let outcome = said(direction).map_or(0, |side| reasons.outcome(*side));
                    let (out, into) = if outward { (outcome, 0) } else { (0, outcome) };
                    let met = meets.number(out, into, 2);
                    if page.before.is_some() {
                        let (own, other) = (Arc::clone(&names[i]), Arc::from(class.name.as_str()));
                        pairs.insert(if outward { (own, other) } else { (other, own) }, met);
                    }
                }
            }
        }
        let connections = meets.met.iter().map(|(bounds, points)| Connection {
            verdict: bounds.verdict(None).as_str(),
            certain: shown(&bounds.certain),
            doubt: shown(&bounds.doubtful()),
            points: points.iter().map(|p| p.sentence()).collect(),
        });
        let connections = connections.collect();
        let (opened, yaml) = opened(reasons.opened());
        let Steps { list: steps, policies, .. } = steps;
        let world = World { nodes, lists, sides, steps, policies, meets: meets.list, connections, opened, yaml };
        Self { world, bounds: meets.met.into_iter().map(|(bounds, _)| bounds).collect(), pairs }
    }
}

fn number(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

fn json_list(kinds: &[u32], pieces: &[(IpSet, u32)], classes: &[Class]) -> JsonList {
    let mut count: BTreeMap<u32, usize> = BTreeMap::new();
    for side in kinds {
        *count.entry(*side).or_default() += 1;
    }
    let rest = count.into_iter().max_by_key(|(side, n)| (*n, std::cmp::Reverse(*side))).map_or(0, |(side, _)| side);
    let others = kinds.iter().enumerate().filter(|(_, side)| **side != rest);
    let outside = classes
        .iter()
        .map(|class| pieces.iter().find(|(set, _)| class.set.is_subset(set)).map_or(0, |(_, side)| *side));
    JsonList {
        rest,
        kinds: others.flat_map(|(kind, side)| [number(kind), *side]).collect(),
        outside: outside.collect(),
    }
}

fn json_side(steps: &mut Steps<'_>, side: &SideAnswer, direction: Direction, outcome: u32) -> JsonSide {
    JsonSide {
        verdict: side.verdict.as_str(),
        certain: shown(&side.bounds.certain),
        doubt: shown(&side.bounds.doubtful()),
        governed: match side.governed {
            Governed::Policies => "policies",
            Governed::NotIsolated => "nothing",
            Governed::HostNetwork => "host",
            Governed::Outside => "outside",
        },
        outcome,
        steps: side.decided_by.iter().map(|step| steps.number(step, direction)).collect(),
    }
}

/// What makes two steps one.
type StepKey = (usize, Option<usize>, Direction, &'static str, PortSet, bool);

/// Steps, each distinct one once.
struct Steps<'a> {
    state: &'a State<'a>,
    list: Vec<JsonStep>,
    known: HashMap<StepKey, usize>,
    policies: Vec<JsonPolicy>,
    known_policies: HashMap<usize, usize>,
}

impl<'a> Steps<'a> {
    fn new(state: &'a State<'a>) -> Self {
        Self { state, list: Vec::new(), known: HashMap::new(), policies: Vec::new(), known_policies: HashMap::new() }
    }

    fn number(&mut self, step: &Step, direction: Direction) -> usize {
        let policy = Arc::as_ptr(&step.policy) as usize;
        let key = (policy, step.rule, direction, action(step), step.ports.clone(), step.certain);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let at = path(step, direction);
        let place = (self.state.locate)(&step.policy.id, &at);
        let rule = step.rule.and_then(|i| step.policy.rules(direction).get(i));
        let policy = self.policy(&step.policy);
        self.list.push(JsonStep {
            policy,
            at: at.as_str().to_owned(),
            action: action(step),
            ports: shown(&step.ports),
            certain: step.certain,
            filter: rule.and_then(|rule| rule.filtered_by.as_ref()).map(ToString::to_string),
            line: place.map(|place| place.line),
        });
        self.known.insert(key, self.list.len() - 1);
        self.list.len() - 1
    }

    fn policy(&mut self, policy: &Arc<Policy>) -> usize {
        let (state, list) = (self.state, &mut self.policies);
        *self.known_policies.entry(Arc::as_ptr(policy) as usize).or_insert_with(|| {
            let file = (state.locate)(&policy.id, &FieldPath::default()).map(|place| place.file);
            list.push(JsonPolicy { tier: policy.tier.name.to_string(), id: policy.id.to_string(), file });
            list.len() - 1
        })
    }
}

/// Connections of pairs of outcomes, each distinct one once.
struct Meets<'a> {
    state: &'a State<'a>,
    met: Vec<(Bounds, Vec<Point>)>,
    list: Vec<(u32, u32, u8, usize)>,
    known: HashMap<(u32, u32, u8), usize>,
}

impl Meets<'_> {
    fn number(&mut self, out: u32, into: u32, manner: u8) -> usize {
        if let Some(known) = self.known.get(&(out, into, manner)) {
            return *known;
        }
        let met = match manner {
            2 => self.state.reasons.outside(if out == 0 { into } else { out }),
            by_node => self.state.reasons.meet(self.state.world, self.state.options, (out, into, by_node == 1)),
        };
        let at = self.met.iter().position(|known| *known == met).unwrap_or_else(|| {
            self.met.push(met);
            self.met.len() - 1
        });
        self.list.push((out, into, manner, at));
        self.known.insert((out, into, manner), at);
        at
    }
}

fn opened(found: &[Opened]) -> (Vec<JsonOpened>, Vec<String>) {
    let (mut texts, mut known): (Vec<String>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
    let mut text = |policy: &Policy| {
        let made = yaml([policy]);
        *known.entry(made).or_insert_with_key(|made| {
            texts.push(made.clone());
            texts.len() - 1
        })
    };
    let list = found.iter().map(|opened| JsonOpened {
        src: opened.src,
        dst: opened.dst,
        ports: shown(&opened.ports),
        policies: opened
            .remedy
            .policies
            .iter()
            .map(|policy| (if policy.isolates_egress { "egress" } else { "ingress" }, text(policy)))
            .collect(),
        instead: opened.remedy.instead.iter().map(|(id, at)| format!("{id} {at}")).collect(),
        careful: opened.remedy.also_isolates.iter().map(ToString::to_string).collect(),
    });
    (list.collect(), texts)
}

/// What each pair of connections, old and new, differs by.
fn changes(before: &Tables, after: &Tables) -> Vec<(usize, usize, String, String)> {
    let both = after.pairs.iter().filter_map(|(pair, new)| Some((*before.pairs.get(pair)?, *new)));
    let pairs: BTreeSet<(usize, usize)> = both.collect();
    let all = pairs.into_iter().filter_map(|(old, new)| {
        let (was, is) = (before.bounds.get(old)?, after.bounds.get(new)?);
        // What was certain and hangs on something now is less than it was, and the other way round.
        let beyond =
            |a: &Bounds, b: &Bounds| a.certain.difference(&b.certain).union(&a.possible.difference(&b.possible));
        let (added, removed) = (shown(&beyond(is, was)), shown(&beyond(was, is)));
        (!added.is_empty() || !removed.is_empty()).then_some((old, new, added, removed))
    });
    all.collect()
}

//! Solves selectors: finds labels that match none of a list, or shows that there are none.
//!
//! The question is turned into clauses, of which each needs one literal that holds, over keys that take one of finitely
//! many values: the values that are named, one that is not, or none. A single selector of Kubernetes, which is a
//! conjunction, takes one pass over its requirements. Several of them take a search that is iterative, restricts values
//! instead of enumerating keys, and is bounded in steps.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{NoLabels, Selector, Test, texts};
use crate::model::Labels;
use crate::model::meter::charge;

/// Whether some labels escape a set of selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Every label set is matched by at least one selector.
    Impossible,
    /// These labels are matched by none.
    By(Labels),
    /// The search would take too long; callers take the safe side.
    Unknown,
}

/// Branches that are tried before the search gives up. Selectors of real namespaces take a few dozen.
const MOST_BRANCHES: usize = 20_000;

/// Stands for every value that no selector names.
const FRESH: [&str; 3] = ["any-other-value", "portcullis-other", "zz-other-zz"];

/// Looks for labels that none of the selectors match. Exact: a key only ever matters through the values that are named,
/// values with the parts that are named, any other value, and its absence, and all of these are considered.
///
/// Linear in the size of one conjunction; for several selectors at most [`MOST_BRANCHES`] branches, each of which costs the
/// clauses that it breaks.
pub fn escaping(selectors: &[&Selector]) -> Escape {
    escaping_with(selectors, &[])
}

/// Looks for labels with a value for each of the `present` keys that none of the selectors match.
pub fn escaping_with(selectors: &[&Selector], present: &[&str]) -> Escape {
    // The common cases cost no allocation: a selector is written as matching everything, or a pod without any label is
    // matched by none.
    if selectors.iter().any(|s| s.is_everything()) {
        return Escape::Impossible;
    }
    if present.is_empty() && !selectors.iter().any(|s| s.matches(&NoLabels)) {
        return Escape::By(Labels::default());
    }
    let mut clauses = Clauses::default();
    for selector in selectors {
        clauses.require(selector, false);
    }
    match domains(&clauses, present) {
        Some(domains) => Search { clauses: &clauses, domains, trail: Vec::new() }.run(),
        None => Escape::Unknown,
    }
}

/// A test of a key that must hold, or must not.
#[derive(Clone, Copy)]
struct Literal<'a> {
    key: usize,
    test: &'a Test,
    holds: bool,
}

impl Literal<'_> {
    fn is_met_by(&self, value: Option<&str>) -> bool {
        self.test.holds(value) == self.holds
    }
}

/// Key of a literal that stands for a part of a formula and not for a label.
static CHOSEN: Test = Test::Exists;

/// A conjunction of disjunctions of literals.
#[derive(Default)]
struct Clauses<'a> {
    /// Names of the keys by index; `None` for those that stand for a part of a formula.
    names: Vec<Option<&'a str>>,
    index: HashMap<&'a str, usize>,
    all: Vec<Vec<Literal<'a>>>,
}

impl<'a> Clauses<'a> {
    fn key(&mut self, name: &'a str) -> usize {
        let next = self.names.len();
        let index = *self.index.entry(name).or_insert(next);
        if index == next {
            self.names.push(Some(name));
        }
        index
    }

    /// Adds the clauses that make a selector match, or not match.
    fn require(&mut self, selector: &'a Selector, matches: bool) {
        charge(4);
        match (selector, matches) {
            (Selector::Key(key, test), holds) => {
                let literal = Literal { key: self.key(key), test, holds };
                self.all.push(vec![literal]);
            }
            (Selector::Not(inner), _) => self.require(inner, !matches),
            (Selector::And(parts), true) | (Selector::Or(parts), false) => {
                for part in parts {
                    self.require(part, matches);
                }
            }
            (Selector::And(parts), false) | (Selector::Or(parts), true) => self.require_one(parts, matches),
        }
    }

    /// Adds a clause that is met when one of the parts is. A part that takes several clauses of its own gets a literal that
    /// stands for it, so that the clauses stay as many as the parts.
    fn require_one(&mut self, parts: &'a [Selector], matches: bool) {
        let mut clause = Vec::with_capacity(parts.len());
        for part in parts {
            let first = self.all.len();
            self.require(part, matches);
            if self.all.len() == first + 1 {
                clause.extend(self.all.pop().unwrap_or_default());
                continue;
            }
            let key = self.names.len();
            self.names.push(None);
            for own in self.all.iter_mut().skip(first) {
                own.push(Literal { key, test: &CHOSEN, holds: false });
            }
            clause.push(Literal { key, test: &CHOSEN, holds: true });
        }
        self.all.push(clause);
    }
}

/// The values that one key may still take.
struct Domain<'a> {
    /// Absence, the named values in order, and one that is not named.
    values: Vec<Option<Cow<'a, str>>>,
    allowed: Vec<bool>,
    count: usize,
    first: usize,
}

impl<'a> Domain<'a> {
    fn of(mut named: Vec<Cow<'a, str>>, may_be_absent: bool) -> Self {
        named.sort_unstable();
        named.dedup();
        let is_fresh = |text: &&str| named.binary_search_by(|v| (**v).cmp(*text)).is_err();
        let fresh = FRESH.into_iter().find(is_fresh).unwrap_or("portcullis-other-value");
        let values: Vec<Option<Cow<'a, str>>> =
            std::iter::once(None).chain(named.into_iter().map(Some)).chain([Some(fresh.into())]).collect();
        let count = values.len();
        let mut domain = Self { allowed: vec![true; count], values, count, first: 0 };
        if !may_be_absent {
            domain.forbid(0);
        }
        domain
    }

    /// Whether the value was allowed before.
    fn forbid(&mut self, i: usize) -> bool {
        let was = self.allowed.get_mut(i).is_some_and(std::mem::take);
        if was {
            self.count -= 1;
            while self.allowed.get(self.first) == Some(&false) {
                self.first += 1;
            }
        }
        was
    }

    fn allow_again(&mut self, i: usize) {
        if let Some(allowed) = self.allowed.get_mut(i) {
            *allowed = true;
            self.count += 1;
            self.first = self.first.min(i);
        }
    }

    /// The value that is tried first.
    fn value(&self) -> Option<&str> {
        self.values.get(self.first)?.as_deref()
    }

    /// Indexes of the values that do not meet a literal.
    fn unmet_by(&self, literal: &Literal<'_>) -> Vec<usize> {
        if let (Test::In(list), false) = (literal.test, literal.holds) {
            charge(list.len());
            // The last one is not in order with the others.
            let sorted = self.values.split_last().map_or(&[][..], |(_, sorted)| sorted);
            let place = |v: &str| sorted.binary_search_by(|own| own.as_deref().cmp(&Some(v))).ok();
            return list.iter().filter_map(|v| place(v)).collect();
        }
        charge(self.values.len());
        let allowed = self.values.iter().enumerate().filter(|(i, _)| self.allowed.get(*i) == Some(&true));
        allowed.filter(|(_, value)| !literal.is_met_by(value.as_deref())).map(|(i, _)| i).collect()
    }
}

/// The domains of all keys, by their index. `None` where a key would have more values made of parts than a search tries.
fn domains<'a>(clauses: &Clauses<'a>, present: &[&str]) -> Option<Vec<Domain<'a>>> {
    let mut tests: Vec<Vec<&'a Test>> = vec![Vec::new(); clauses.names.len()];
    for literal in clauses.all.iter().flatten() {
        charge(1);
        if let Some(of_key) = tests.get_mut(literal.key) {
            of_key.push(literal.test);
        }
    }
    let domain = |(tests, name): (&Vec<&'a Test>, Option<&'a str>)| {
        let mut named: Vec<Cow<'a, str>> = Vec::new();
        for test in tests {
            if let Test::In(list) = test {
                // To sort a value takes some comparisons.
                charge(8 * list.len());
                named.extend(list.iter().map(|v| Cow::Borrowed(&**v)));
            }
        }
        let composed = texts::composed(tests)?;
        charge(8 + 8 * composed.len());
        named.extend(composed.into_iter().map(Cow::Owned));
        Some(Domain::of(named, name.is_none_or(|name| !present.contains(&name))))
    };
    tests.iter().zip(clauses.names.iter().copied()).map(domain).collect()
}

/// A branch: a clause and the literal of it that is taken to hold.
struct Branch {
    clause: usize,
    literal: usize,
    /// Length of the trail before the clause was looked at.
    start: usize,
    /// Length of the trail before the literal was taken, when those before it were known not to hold.
    tried: usize,
}

struct Search<'c, 'a> {
    clauses: &'c Clauses<'a>,
    domains: Vec<Domain<'a>>,
    /// Values that were forbidden, in order: `(key, value)`.
    trail: Vec<(usize, usize)>,
}

impl<'a> Search<'_, 'a> {
    fn run(mut self) -> Escape {
        // Clauses of one literal leave no choice; most others are met by what these leave.
        for clause in &self.clauses.all {
            charge(1);
            if let [only] = clause.as_slice()
                && !self.take(only)
            {
                return Escape::Impossible;
            }
        }
        let (mut branches, mut path, mut from) = (0, Vec::<Branch>::new(), 0);
        while let Some(clause) = self.broken(from) {
            let start = self.trail.len();
            let mut branch = Branch { clause, literal: 0, start, tried: start };
            while !self.literal(&branch).is_some_and(|literal| self.take(&literal)) {
                branches += 1;
                if branches > MOST_BRANCHES {
                    return Escape::Unknown;
                }
                while !self.advance(&mut branch) {
                    self.undo(branch.start);
                    let Some(last) = path.pop() else { return Escape::Impossible };
                    branch = last;
                }
            }
            from = branch.clause;
            path.push(branch);
        }
        Escape::By(self.labels())
    }

    fn literal(&self, branch: &Branch) -> Option<Literal<'a>> {
        self.clauses.all.get(branch.clause)?.get(branch.literal).copied()
    }

    /// Goes on to the next literal of the clause. From here on the one that was tried is known not to hold, so no two branches
    /// try the same labels. False where no literal is left.
    fn advance(&mut self, branch: &mut Branch) -> bool {
        self.undo(branch.tried);
        let Some(tried) = self.literal(branch) else { return false };
        branch.literal += 1;
        let possible = self.take(&Literal { holds: !tried.holds, ..tried });
        branch.tried = self.trail.len();
        possible && self.literal(branch).is_some()
    }

    /// The first clause from this one on, in a circle, that the values tried first do not meet.
    fn broken(&self, from: usize) -> Option<usize> {
        let all = &self.clauses.all;
        let met = |literal: &Literal<'_>| {
            charge(1);
            self.domains.get(literal.key).is_some_and(|domain| literal.is_met_by(domain.value()))
        };
        (from..all.len()).chain(0..from).find(|i| all.get(*i).is_some_and(|clause| !clause.iter().any(met)))
    }

    /// Takes a literal to hold. False where that contradicts what is taken already.
    fn take(&mut self, literal: &Literal<'_>) -> bool {
        let Some(domain) = self.domains.get_mut(literal.key) else { return false };
        for i in domain.unmet_by(literal) {
            if domain.forbid(i) {
                self.trail.push((literal.key, i));
            }
        }
        domain.count > 0
    }

    fn undo(&mut self, to: usize) {
        for (key, value) in self.trail.drain(to..) {
            charge(1);
            if let Some(domain) = self.domains.get_mut(key) {
                domain.allow_again(value);
            }
        }
    }

    fn labels(&self) -> Labels {
        let named = self.clauses.names.iter().zip(&self.domains);
        Labels::new(named.filter_map(|(name, domain)| Some(((*name)?, domain.value()?))))
    }
}

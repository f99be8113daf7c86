//! `portcullis convert`: policies of any kind written in another, with the engine's proof that they mean the same, or every
//! point at which they cannot.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::Exit;
use super::cluster::{Input, omitted};
use super::kinds::{Written, WrittenAs};
use crate::model::house::Dialect;
use crate::model::{Object, ObjectRef, PolicyObject};
use crate::reach::{Bounds, Comparison, Differing, compare};
use crate::report::matrix::connections;
use crate::report::printable::one_line;
use crate::snapshot::Snapshot;
use crate::source::files::{Files, Located};
use crate::translate::Kind;
use crate::translate::convert::{Conversion, convert};

/// Translate policies between kinds.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  portcullis convert policies/ --to cilium > cilium.yaml
  portcullis convert policies/ workloads/ --to calico          prove it for these workloads as well
  kubectl get ciliumnetworkpolicies -A -o yaml | portcullis convert - --to networkpolicy
  portcullis convert policies/ --to cilium --dialect calico    for moving from Calico to Cilium
  portcullis convert --cluster --to clusternetworkpolicy

Before anything is written, the result is read again and evaluated beside the originals: for all workloads in the files,
for pods made of the policies' own selectors and for every range of addresses that they tell apart, in both directions
and on every port. Standard error says that all verdicts are equal, or names each point at which the kinds cannot mean
the same, with its field. A result that differs at any other point is not written.
A policy that the other kind cannot say is refused with the reason, and the others are written. Exit code: 0 written and
equal, 1 written, but some were refused or differ at the points named, 2 nothing written.")]
pub(super) struct Args {
    #[command(flatten)]
    input: Input,
    /// The kind of policy to write
    #[arg(long, value_enum, value_name = "KIND")]
    to: WrittenAs,
    /// Namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The CNI that enforces the originals: upstream, calico, cilium, antrea, ovn. The default is what their kinds say, or
    /// else that of the kind to write
    #[arg(long, value_name = "CNI")]
    dialect: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let files = args.input.read(&args.namespace)?;
    if super::report_errors(&files.errors) | not_understood(&files) {
        return Ok(Exit::Unusable);
    }
    let world = files.world().snapshot;
    let sources = sources(&files, &world);
    if sources.is_empty() {
        bail!("there are no policies in what was read, and so nothing to convert");
    }
    let conversion = convert(&sources, args.to.kind());
    let mut lines = vec![summary(&conversion, args.to)];
    lines.extend(conversion.refused.iter().map(|(id, why)| format!("refused: {}{why}", place(&files, id, why.at()))));
    let mut exit = if conversion.refused.is_empty() { Exit::Clean } else { Exit::Findings };
    if conversion.converted.is_empty() {
        say(&lines);
        let why =
            if conversion.refused.is_empty() { "there is nothing to convert" } else { "every policy was refused" };
        bail!("nothing is written: {why}");
    }
    let networks = networks(args, &sources)?;
    let values: Vec<_> = conversion.converted.iter().flat_map(|one| one.objects.clone()).collect();
    let written = Written::of(&values, conversion.departures.clone())?;
    let [before, after] = worlds(&world, &conversion, &written);
    let found = compare([&before, &after], networks, &written.departures);
    let unexplained: Vec<&Differing> = found.unexplained().collect();
    if !unexplained.is_empty() {
        let shown: Vec<String> = unexplained.iter().take(MOST_SHOWN).map(|one| format!("  {}", pair(one))).collect();
        bail!(
            "nothing is written: {} other verdicts than before, and no field explains it:\n{}",
            counted(unexplained.len(), "pair of ends has", "pairs of ends have"),
            shown.join("\n")
        );
    }
    if !found.differing.is_empty() {
        exit = Exit::Findings;
    }
    lines.extend(proof(&found, &written, networks, &files));
    for id in found.idle.iter().filter(|id| conversion.converted.iter().any(|one| one.from == **id)) {
        lines.push(format!("warning: nothing is proved of {id}: no pod was found that it selects"));
    }
    if !conversion.refused.is_empty() {
        lines.extend(without_refused(&compare([&world, &after], networks, &written.departures)));
    }
    lines.extend(omitted(&files).into_iter().map(|note| format!("note: {note}")));
    out.write_all(written.yaml.as_bytes())?;
    say(&lines);
    Ok(exit)
}

/// Examples of one point, and differences that nothing explains.
const MOST_SHOWN: usize = 3;

fn say(lines: &[String]) {
    for line in lines {
        let _ = writeln!(std::io::stderr(), "{}", one_line(line));
    }
}

/// Prints what is not understood in full; true if there is anything. Half a policy must not become a whole one.
fn not_understood(files: &Files) -> bool {
    let mut any = false;
    for located in &files.objects {
        for unread in located.object.unread() {
            let (id, at) = (located.object.id(), located.locate(&unread.at));
            let place = if located.is_live() { String::new() } else { format!("{}:{at}: ", located.file()) };
            let _ = writeln!(
                std::io::stderr(),
                "error: {}",
                one_line(&format!("{place}{id} at {}: {}", unread.at, unread.what))
            );
            any = true;
        }
    }
    any
}

/// The policies, with the groups and tiers that they refer to.
fn sources(files: &Files, world: &Snapshot) -> Vec<Arc<PolicyObject>> {
    // Cilium's configuration can stand for a policy, and is none that could be written.
    let written = |id: &ObjectRef| Kind::of(id.group(), &id.kind).is_some();
    let policies = files.objects.iter().filter(|l| matches!(&l.object, Object::Policy(policy) if written(&policy.id)));
    policies.filter_map(|located| world.policy(&located.object.id()).cloned()).collect()
}

fn located<'a>(files: &'a Files, id: &ObjectRef) -> Option<&'a Located> {
    // They are in the order of their names; a large folder has a point to be named in every other one.
    let found = files.objects.binary_search_by(|located| located.object.id().cmp(id));
    found.ok().and_then(|i| files.objects.get(i))
}

/// `file:line:column: ` of a field, where there is a file.
fn place(files: &Files, id: &ObjectRef, at: &crate::model::FieldPath) -> String {
    let found = located(files, id).filter(|located| !located.is_live());
    found.map_or_else(String::new, |located| format!("{}:{}: ", located.file(), located.locate(at)))
}

/// Who enforces the originals, and who the results.
fn networks(args: &Args, sources: &[Arc<PolicyObject>]) -> anyhow::Result<[Dialect; 2]> {
    let any_of = |name: &str| sources.iter().any(|object| object.id.group() == name);
    let of_kind = match args.to {
        WrittenAs::Cilium => Some(Dialect::Cilium),
        WrittenAs::Calico => Some(Dialect::Calico),
        WrittenAs::Networkpolicy | WrittenAs::Clusternetworkpolicy => None,
    };
    let before = match (&args.dialect, any_of(Kind::CiliumNetworkPolicy.group()), any_of(Kind::CalicoTier.group())) {
        (Some(name), ..) => Dialect::parse(name).with_context(|| {
            format!("`{name}` is no dialect; there are {}", Dialect::ALL.map(Dialect::as_str).join(", "))
        })?,
        (None, true, true) => bail!(
            "there are policies of Cilium and of Calico, which no network enforces together: convert them apart, or name the network that enforces them with --dialect"
        ),
        (None, true, false) => Dialect::Cilium,
        (None, false, true) => Dialect::Calico,
        (None, false, false) => of_kind.unwrap_or(Dialect::Upstream),
    };
    Ok([before, of_kind.unwrap_or(before)])
}

/// The state with the originals, and with what is written in their place. What was refused is in neither.
fn worlds(world: &Snapshot, conversion: &Conversion, written: &Written) -> [Snapshot; 2] {
    let mut before = world.clone();
    let take_out = |world: &mut Snapshot, id: &ObjectRef| {
        if let Some(policy) = world.written_policy(id).cloned() {
            world.remove(&Object::Policy((*policy).clone()));
        }
    };
    for (id, _) in &conversion.refused {
        take_out(&mut before, id);
    }
    let mut after = before.clone();
    for one in &conversion.converted {
        take_out(&mut after, &one.from);
    }
    for object in &written.objects {
        after.insert(object);
    }
    [before, after]
}

fn summary(conversion: &Conversion, to: WrittenAs) -> String {
    let written: usize = conversion.converted.iter().map(|one| one.objects.len()).sum();
    let (count, all) = (conversion.converted.len(), conversion.converted.len() + conversion.refused.len());
    let verb = if count == 1 { "is" } else { "are" };
    let mut text =
        format!("note: {count} of {} {verb} written, as {}", counted(all, "policy", "policies"), to.counted(written));
    if !conversion.kept.is_empty() {
        let kept = conversion.kept.len();
        let _ = write!(
            text,
            "; {} of that family already, and left as written",
            if kept == 1 { "1 is".into() } else { format!("{kept} are") }
        );
    }
    text
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// What the comparison came to, and every point at which the kinds depart from each other.
fn proof(found: &Comparison, written: &Written, [before, after]: [Dialect; 2], files: &Files) -> Vec<String> {
    let on = |dialect: Dialect| match dialect {
        Dialect::Upstream => "a network that reads policies as Kubernetes does".to_owned(),
        other => format!("a network of {}", title(other)),
    };
    let networks =
        if before == after { format!("on {}", on(before)) } else { format!("from {} to {}", on(before), on(after)) };
    let about = format!(
        "{} ({} of them made of the policies' selectors) and {}, {networks}",
        counted(found.pods + found.made_up, "pod", "pods"),
        found.made_up,
        counted(found.ranges, "address range", "address ranges")
    );
    let mut lines = Vec::new();
    if found.differing.is_empty() {
        lines.push(format!("proved: verdicts are equal for {about}"));
    } else {
        lines.push(format!("compared: {about}"));
        let pairs = counted(found.differing.len() + found.more, "pair of ends has", "pairs of ends have");
        lines.push(format!("differs: {pairs} other verdicts than before, for these reasons only:"));
    }
    let mut reasons: Vec<&str> = Vec::new();
    for departure in &written.departures {
        if !reasons.contains(&departure.what) {
            reasons.push(departure.what);
        }
    }
    let (mut shown, mut unseen) = (Vec::new(), Vec::new());
    for reason in reasons {
        let of_reason = |i: &usize| written.departures.get(*i).is_some_and(|departure| departure.what == reason);
        let seen: Vec<&Differing> = found.differing.iter().filter(|one| one.because.iter().any(of_reason)).collect();
        let list = if seen.is_empty() { &mut unseen } else { &mut shown };
        list.push(format!("- {reason}"));
        for departure in written.departures.iter().filter(|departure| departure.what == reason) {
            let place = place(files, &departure.policy, &departure.at);
            let line = format!("    {place}{} at {}", departure.policy, departure.at);
            // Several ports of one rule can have names.
            if list.last() != Some(&line) {
                list.push(line);
            }
        }
        if !seen.is_empty() {
            let least = if found.more > 0 { "at least " } else { "" };
            list.push(format!("  {least}{}, such as", counted(seen.len(), "pair of ends", "pairs of ends")));
            list.extend(seen.iter().take(MOST_SHOWN).map(|one| format!("    {}", pair(one))));
        }
    }
    lines.extend(shown);
    if !unseen.is_empty() {
        lines.push("note: on other networks, or with other objects, they can differ here:".to_owned());
        lines.extend(unseen);
    }
    lines
}

/// What refused policies denied passes where only the written ones are there.
fn without_refused(found: &Comparison) -> Vec<String> {
    let more = |one: &&Differing| {
        !one.after.certain.is_subset(&one.before.certain) || !one.after.possible.is_subset(&one.before.possible)
    };
    let wider: Vec<&Differing> = found.differing.iter().filter(more).collect();
    let mut lines =
        vec!["note: that is about what is written; refused policies were left out before and after".to_owned()];
    if !wider.is_empty() {
        let pairs = counted(wider.len(), "pair of ends lets", "pairs of ends let");
        lines.push(format!("warning: with only what is written, {pairs} more pass than all originals did, such as"));
        lines.extend(wider.iter().take(MOST_SHOWN).map(|one| format!("    {}", pair(one))));
    }
    lines
}

fn title(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Upstream => "Kubernetes",
        Dialect::Calico => "Calico",
        Dialect::Cilium => "Cilium",
        Dialect::Antrea => "Antrea",
        Dialect::Ovn => "OVN-Kubernetes",
    }
}

/// One pair of ends, before and after.
fn pair(one: &Differing) -> String {
    let shown = |bounds: &Bounds| {
        let doubtful = bounds.doubtful();
        let certain = connections(&bounds.certain);
        if doubtful.is_empty() { certain } else { format!("{certain} (perhaps {})", connections(&bounds.possible)) }
    };
    format!("{} to {}: {} before, {} after", one.from, one.to, shown(&one.before), shown(&one.after))
}

//! `portcullis matrix -o html`: both states evaluated with their reasons, and written as one page.

use std::collections::BTreeMap;
use std::io::Write;

use super::Exit;
use super::cluster::{network, omitted};
use super::endpoint::doorkeepers;
use super::matrix::{Args, options, pick};
use crate::model::{FieldPath, ObjectRef};
use crate::reach::{Reasons, entries};
use crate::report::{Filter, Page, Place, State, add_entries};
use crate::source::files::{Files, Located};

/// For how many refused flows the page says what would open them; `portcullis reach` does for the others.
const REMEDIES: usize = 600;

pub(super) fn run(args: &Args, after: &Files, before: &Files, out: &mut impl Write) -> anyhow::Result<Exit> {
    let compared = args.is_compared();
    let (new, old) = (after.world().snapshot, before.world().snapshot);
    let ends = [pick(args, args.from.as_deref(), &new, before)?, pick(args, args.to.as_deref(), &new, before)?];
    let options = options(args, after, before, &new)?;
    let shown = Reasons::of(&new, &options, REMEDIES);
    let past = compared.then(|| Reasons::of(&old, &options, 0));
    let mut notes = shown.notes().to_vec();
    notes.extend(super::reach::unread(after));
    notes.extend(omitted(after));
    notes.extend(network(after, &new));
    if let Some(past) = &past {
        notes.extend(past.notes().iter().cloned());
        notes.extend(super::reach::unread(before));
        notes.extend(omitted(before));
        notes.extend(network(before, &old));
        notes.sort();
        notes.dedup();
    }
    let keepers = args.ingress_controller.as_deref().map(|text| doorkeepers(text, &new)).transpose()?;
    let (found, more) = entries(&new, &after.entrances, keepers.as_deref(), &options.readings);
    let mut entrances = Vec::new();
    add_entries(&mut entrances, &found, shown.nodes(), &Filter { all: true, ..Filter::default() });
    notes.extend(more);
    let (here, there) = (places(after), places(before));
    let (here, there) = (|id: &_, at: &_| find(&here, id, at), |id: &_, at: &_| find(&there, id, at));
    let page = Page {
        after: State { world: &new, options: &options, reasons: &shown, locate: &here },
        before: past.as_ref().map(|past| State { world: &old, options: &options, reasons: past, locate: &there }),
        paths: args.input.words(),
        dialect: args.dialect.clone(),
        ends,
        entrances,
        filters: [args.namespace.clone(), args.port.clone()],
        notes,
    };
    out.write_all(page.to_html()?.as_bytes())?;
    Ok(Exit::Clean)
}

fn places(files: &Files) -> BTreeMap<ObjectRef, &Located> {
    files.objects.iter().map(|located| (located.object.id(), located)).collect()
}

fn find(places: &BTreeMap<ObjectRef, &Located>, id: &ObjectRef, at: &FieldPath) -> Option<Place> {
    let located = places.get(id)?;
    let position = located.locate(at);
    Some(Place { file: located.file().to_owned(), line: position.line, column: position.column })
}
